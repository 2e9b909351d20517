"""Findings while the layers of detection fill them in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reporting.domain.arrays import NO_DAY, Flags, Ints
from reporting.domain.findings import LineType, Source, Sure, Why


@dataclass(slots=True, kw_only=True)
class Draft:
    """One row per line; the columns are those of `Findings`, not yet frozen."""

    type: Ints
    start: Ints
    end: Ints
    num: Ints
    den: Ints
    source: Ints
    sure: Ints
    why: Ints
    a: Ints
    b: Ints
    chain: Ints
    nominal: Ints
    word_names: tuple[str, ...]

    @classmethod
    def blank(cls, size: int, chain: Ints, word_names: tuple[str, ...]) -> Draft:
        def full(value: int) -> Ints:
            return np.full(size, value, dtype=np.int64)

        return cls(
            type=full(LineType.ONE_OFF),
            start=full(NO_DAY),
            end=full(NO_DAY),
            num=full(1),
            den=full(1),
            source=full(Source.NONE),
            sure=full(Sure.LOW),
            why=full(Why.NO_SIGN),
            a=full(0),
            b=full(0),
            chain=chain,
            nominal=full(0),
            word_names=word_names,
        )

    def set_type(self, rows: Flags, line_type: LineType) -> None:
        self.type[rows] = line_type

    def explain(
        self,
        rows: Flags | Ints,
        why: Why,
        a: NDArray[np.integer] | int = 0,
        b: NDArray[np.integer] | int = 0,
    ) -> None:
        """Give the rows a reason; `a` and `b` are constants or whole columns."""
        self.why[rows] = why
        self.a[rows] = a[rows] if isinstance(a, np.ndarray) else a
        self.b[rows] = b[rows] if isinstance(b, np.ndarray) else b

    def copy_line(self, rows: Ints, parents: Ints) -> None:
        """Give each row its parent's type, period, confidence and chain."""
        for column in (
            self.type,
            self.start,
            self.end,
            self.num,
            self.den,
            self.sure,
            self.chain,
            self.nominal,
        ):
            column[rows] = column[parents]
        self.source[rows] = Source.CREDITED_LINE
