"""Measurements with bars. Each module has `run() -> Result`; `manage.py bench` finds them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bar:
    """A measured value against the most (or, with `at_least`, the least) it may be."""

    value: float
    limit: float
    ok: bool


@dataclass
class Result:
    """What one benchmark found: figures by name (the unit is in the name), and its bars."""

    figures: dict[str, float | int | str] = field(default_factory=dict)
    bars: dict[str, Bar] = field(default_factory=dict)

    def at_most(self, figure: str, limit: float) -> None:
        """Hold a figure against an upper limit."""
        value = float(self.figures[figure])
        self.bars[figure] = Bar(value=value, limit=limit, ok=value <= limit)

    def at_least(self, figure: str, limit: float) -> None:
        """Hold a figure against a lower limit."""
        value = float(self.figures[figure])
        self.bars[figure] = Bar(value=value, limit=limit, ok=value >= limit)
