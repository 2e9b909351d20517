"""Long repetitions run when they are asked for, and nothing else runs then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import pytest_collection_modifyitems


class Item:
    def __init__(self, name: str, *markers: str) -> None:
        self.name, self.markers = name, markers

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.markers else None


@pytest.mark.parametrize(("night", "runs"), [(False, ["short"]), (True, ["long"])])
def test_either_the_sample_or_the_repetitions_run(night: bool, runs: list[str]) -> None:
    told: list[str] = []
    hook = SimpleNamespace(pytest_deselected=lambda items: told.extend(i.name for i in items))
    config: Any = SimpleNamespace(getoption=lambda name: night, hook=hook)
    items: list[Any] = [Item("short", "stack"), Item("long", "nightly", "stack")]
    pytest_collection_modifyitems(config, items)
    assert [item.name for item in items] == runs
    assert set(told) == {"short", "long"} - set(runs)
