"""Every numbered case of `docs/cases.md` has a test of its number, or a reason why not yet."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| ([TIWSQD]\d+) \|", re.MULTILINE)
_TEST = re.compile(r"^\s*(?:async )?def test_([tiwsqd]\d+)[a-z]?_", re.MULTILINE)


def cases():
    promised, _, excused = (ROOT / "docs/cases.md").read_text().partition("## Cannot apply yet")
    return set(_ROW.findall(promised)), set(_ROW.findall(excused))


def numbers_with_a_test():
    files = (ROOT / "tests").rglob("test_*.py")
    return {number.upper() for file in files for number in _TEST.findall(file.read_text())}


def test_the_list_of_cases_is_long():
    promised, _ = cases()
    assert len(promised) > 140, "the scan found hardly any case, so it guards nothing"


def test_every_case_has_a_test_or_a_reason():
    promised, excused = cases()
    assert promised - numbers_with_a_test() - excused == set()


def test_no_case_is_excused_that_has_a_test():
    _, excused = cases()
    assert excused & numbers_with_a_test() == set()


def test_every_numbered_test_belongs_to_a_case():
    promised, _ = cases()
    assert numbers_with_a_test() - promised == set()
