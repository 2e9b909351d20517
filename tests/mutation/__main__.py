"""Every mutant in turn, against a copy of the database or of the tree; the survivors by name."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import psycopg2

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = (".git", ".venv", ".calqsync", "node_modules", "docs", "__pycache__", ".*_cache")
PYTEST = ("-q", "-x", "--no-header", "-n0", "-p", "no:cacheprovider", "-p", "no:randomly")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant."""

    kind: str
    name: str
    killer: str  # the first test that failed; empty when it survived
    audited: bool | None = None  # whether the catalog audit saw it too

    @property
    def survived(self) -> bool:
        return not self.killer


def main(arguments: Sequence[str]) -> int:
    """Run the mutants; 1 when any survives or when there was nothing to mutate."""
    options = _options(arguments)
    started = time.monotonic()
    django.setup()
    with _databases() as (empty, filled):
        verdicts = [*_database_verdicts(filled, options), *_code_verdicts(empty, options)]
    _report(verdicts, time.monotonic() - started, as_json=options.json)
    missing = {kind for kind in options.kind or () if kind not in {v.kind for v in verdicts}}
    if missing or not verdicts:
        print(f"There was nothing to mutate: {', '.join(sorted(missing))}", file=sys.stderr)
        return 1
    return 1 if any(verdict.survived for verdict in verdicts) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="manage.py mutation", description=__doc__)
    parser.add_argument("--sample", type=int, help="so many of each kind, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", help="this kind alone; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


def _chosen(mutants: Sequence[Any], options: argparse.Namespace) -> list[Any]:
    """Those of the wanted kinds; a sample takes the same number of each."""
    kinds: dict[str, list[Any]] = {}
    for mutant in mutants:
        if not options.kind or mutant.kind in options.kind:
            kinds.setdefault(mutant.kind, []).append(mutant)
    if options.sample is None:
        return [mutant for group in kinds.values() for mutant in group]
    chance = random.Random(options.seed)
    return [
        mutant
        for group in kinds.values()
        for mutant in chance.sample(group, min(options.sample, len(group)))
    ]


# -- the database ----------------------------------------------------------------------------------


@contextmanager
def _databases() -> Iterator[tuple[str, str]]:
    """Two databases: migrated and empty, and one with two tenants that have a row everywhere."""
    from django.core.management import call_command

    from calqsync.tenancy.isolation import roles
    from tests import conftest
    from tests.scratch import copy_of

    empty = f"calqsync_mutation_{os.getpid()}"
    roles.create_roles(os.environ["TEST_SUPERUSER_URL"], conftest._role_passwords(), empty)
    conftest._use_database(empty)
    call_command("migrate", database="owner", verbosity=0)
    try:
        with copy_of(empty, "filled") as filled:
            from tests.tenancy.sql_world import make_world

            conftest._use_database(filled)
            make_world()
            yield empty, filled
    finally:
        _superuser(f'DROP DATABASE IF EXISTS "{empty}" WITH (FORCE)')


def _superuser(statement: str, database: str = "postgres") -> None:
    connection = psycopg2.connect(os.environ["TEST_SUPERUSER_URL"], dbname=database)
    connection.autocommit = True
    connection.cursor().execute(statement)
    connection.close()


def _database_verdicts(filled: str, options: argparse.Namespace) -> Iterator[Verdict]:
    from tests.mutation.database import damages
    from tests.scratch import copy_of

    connection = psycopg2.connect(os.environ["TEST_SUPERUSER_URL"], dbname=filled)
    found = damages(connection.cursor())
    connection.close()
    assert len(found) > 200, "hardly any protection was found in the catalog"
    for damage in _chosen(found, options):
        with copy_of(filled, "mutant") as copy:
            try:
                _superuser(damage.statement, copy)
            except psycopg2.errors.UniqueViolation:
                # The rows of the two tenants share the value: with this index they could not be.
                yield _told(Verdict(damage.kind, damage.name, "test_i13: the rows themselves"))
                continue
            killer = _forked(damage.tests, copy)
            yield _told(Verdict(damage.kind, damage.name, killer, _audited(copy)))


def _audited(database: str) -> bool:
    from calqsync.tenancy.isolation import catalog

    connection = psycopg2.connect(os.environ["TEST_SUPERUSER_URL"], dbname=database)
    connection.autocommit = True
    findings = catalog.audit(connection.cursor())
    connection.close()
    return bool(findings)


def _forked(tests: Sequence[str], database: str) -> str:
    """Run pytest in a fork, which has everything imported already; the first failure's name."""
    import pytest

    with tempfile.TemporaryFile("w+") as out:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            os.environ["CALQSYNC_TEST_DATABASE"] = database
            status = int(pytest.main([*tests, *PYTEST]))
            sys.stdout.flush()  # what is left in the buffer would die with the fork
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        return _killer(status, out.read())


# -- the code --------------------------------------------------------------------------------------


def _code_verdicts(empty: str, options: argparse.Namespace) -> Iterator[Verdict]:
    from tests.mutation.code import apply, edits
    from tests.scratch import copy_of

    with tempfile.TemporaryDirectory(prefix="calqsync-mutation-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
        for edit in _chosen(edits(tree), options):
            before = apply(edit, tree)
            with copy_of(empty, "mutant") as copy:
                verdict = Verdict(edit.kind, edit.name, _in_tree(edit.tests, tree, copy))
            (tree / edit.file).write_text(before, "utf-8")
            yield _told(verdict)


def _in_tree(tests: Sequence[str], tree: Path, database: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *tests, *PYTEST],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "CALQSYNC_TEST_DATABASE": database},
        capture_output=True,
        text=True,
        check=False,
    )
    return _killer(done.returncode, done.stdout + done.stderr)


def _killer(status: int, output: str) -> str:
    """The first test that failed; empty when all passed, or when none speaks of it."""
    if status in (0, 5):
        return ""
    failed = re.search(
        r"^(?:FAILED|ERROR) (?:\S*/)?(\w+\.py::.+?)(?: - .*)?$", output, re.MULTILINE
    )
    if status != 1 or failed is None:
        raise RuntimeError(f"pytest ended with {status}, which proves nothing:\n{output[-3000:]}")
    return failed[1]


# -- the report ------------------------------------------------------------------------------------


def _told(verdict: Verdict) -> Verdict:
    mark = "SURVIVED" if verdict.survived else "killed"
    print(f"{mark:8} {verdict.kind}: {verdict.name}  {verdict.killer}", file=sys.stderr, flush=True)
    return verdict


def _report(verdicts: list[Verdict], seconds: float, *, as_json: bool) -> None:
    total, lost = Counter(v.kind for v in verdicts), Counter(v.kind for v in verdicts if v.survived)
    unseen = [f"{v.kind}: {v.name}" for v in verdicts if v.audited is False]
    survivors = [f"{v.kind}: {v.name}" for v in verdicts if v.survived]
    if as_json:
        figures = {"kinds": total, "survivors": survivors, "not_audited": unseen}
        print(json.dumps({"ok": not survivors, "seconds": round(seconds), **figures}))
        return
    for kind, count in total.items():
        print(f"{kind:32} {count - lost[kind]:4} of {count:4} killed")
    print(f"{len(verdicts)} mutants in {seconds:.0f} s")
    for name in survivors:
        print(f"SURVIVED {name}")
    for name in unseen:
        print(f"not seen by the catalog audit: {name}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
