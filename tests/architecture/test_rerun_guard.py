"""Only tests that start processes get a second try after a failure, and only one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SECOND_TRY

ROOT = Path(__file__).parents[2]
# Of each kind of mark one test that succeeds at its second try.
KINDS = ["stack", "journey", "usefixtures", "stack nightly", "stack flaky(reruns=0)"]
TESTS = """
import pytest
tried = set()

@pytest.mark.stack
def test_never():
    assert False

def once(kind):
    first = kind not in tried
    tried.add(kind)
    assert not first
"""


def test_processes_alone_get_one_second_try(tmp_path: Path) -> None:
    lines = [TESTS]
    for number, kind in enumerate(KINDS):
        marks = "".join(f"@pytest.mark.{mark}\n" for mark in kind.split())
        lines.append(f"{marks}def test_{number}():\n    once({kind!r})\n")
    (tmp_path / "test_tries.py").write_text("\n".join(lines))
    (tmp_path / "conftest.py").write_text(
        "from tests.conftest import pytest_collection_modifyitems"
    )
    options = ["-c", "pyproject.toml", f"--rootdir={ROOT}", "-v", "-n0", "-m", ""]
    options += ["-p", "no:cacheprovider", "-p", "no:randomly"]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found: dict[str, list[str]] = {}
    for name, outcome in re.findall(r"::test_(\w+) (PASSED|FAILED|ERROR|RERUN)", done.stdout):
        found.setdefault(name, []).append(outcome)
    tries = {kind: found.pop(str(number), []) for number, kind in enumerate(KINDS)}
    assert tries == {
        "stack": ["RERUN", "PASSED"],
        "journey": ["RERUN", "PASSED"],
        "usefixtures": ["FAILED"],
        "stack nightly": ["FAILED"],
        "stack flaky(reruns=0)": ["FAILED"],
    }, done.stdout
    assert found == {"never": ["RERUN", "FAILED"]}
    assert "assert not first" in done.stdout.split("rerun test summary")[1], "it hid why"


def test_no_other_test_asks_for_a_second_try(request: pytest.FixtureRequest) -> None:
    asked = {
        item.nodeid
        for item in request.session.items
        for mark in item.iter_markers("flaky")
        if mark.kwargs.get("reruns", 1) and not any(map(item.get_closest_marker, SECOND_TRY))
    }
    assert asked == set()
    assert request.config.getoption("reruns") is None
