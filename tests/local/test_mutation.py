"""The mutation check itself: it sees a mutant of each kind die, and misses none that is gone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from calqsync.local import cli
from tests.mutation import code

ROOT = Path(__file__).parents[2]
# One that stands for each layer; the nightly run takes them all.
KINDS = [
    *("policy opened", "row security off", "composite key dropped", "unique index dropped"),
    *("tenant may be null", "truncate granted"),
    *("manager's filter", "membership check", "role check", "task's scope"),
]


def run(*options):
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--json", *options],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.stack
def test_i25_each_protection_that_is_taken_away_turns_a_test_red():
    wanted = [part for kind in KINDS for part in ("--kind", kind)]
    status, report, told = run("--sample", "1", *wanted)
    assert (status, report["survivors"], report["not_audited"]) == (0, [], []), told
    assert set(report["kinds"]) == set(KINDS)


def test_i25b_a_mutant_whose_code_is_gone_stops_the_check(tmp_path):
    for room in ("calqsync", "billing", "integrations", "reporting"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("static"))
    found = code.edits(tmp_path)
    assert len({edit.kind for edit in found}) >= 8
    assert len([edit for edit in found if edit.kind == "view's door"]) > 35
    (tmp_path / "calqsync/tenancy/owned.py").write_text("")
    with pytest.raises(code.NothingToChange, match="owned.py"):
        code.edits(tmp_path)


def test_the_command_is_one_of_those_on_the_embedded_stack():
    assert cli._command("mutation").__module__ == "calqsync.local.mutation"
