"""Long repetitions run when they are asked for, and nothing else runs then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from calqsync.local.testing import asked_for

ROOT = Path(__file__).parents[2]
FILE = "tests/model/test_figures_rebuilt.py"


@pytest.mark.parametrize(("arguments", "runs"), [([], "test_d12_"), (["--nightly"], "test_d12b_")])
def test_either_the_sample_or_the_repetitions_run(arguments: list[str], runs: str) -> None:
    options = ["--collect-only", "-q", "-n0", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *asked_for([FILE, *arguments])]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [line.split("::")[1] for line in said.splitlines() if "::" in line]
    assert len(found) == 1
    assert found[0].startswith(runs)
