"""Sums over customers: add a customer's own, take off what it was before, and they stay exact.

Every published figure that speaks about all customers is composed from such sums alone. A full
computation sums all customers; one that follows a changed invoice takes the customer's former
contribution off and adds its new one, which leaves exactly what the full one would find.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Additive:
    """Sums whose fields are int64 arrays of a fixed shape, or such sums themselves.

    The shapes follow from the report's months and settings, which both sides share.
    """

    def __add__(self, other: Self) -> Self:
        return self._with(other, 1)

    def __sub__(self, other: Self) -> Self:
        return self._with(other, -1)

    def _with(self, other: Self, sign: int) -> Self:
        made: dict[str, Any] = {}
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, np.ndarray) and mine.shape != theirs.shape:
                raise ValueError(f"{one.name} covers {mine.shape} here and {theirs.shape} there")
            made[one.name] = mine + theirs if sign > 0 else mine - theirs
        return type(self)(**made)
