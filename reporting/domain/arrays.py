"""Names for the array types that the domain passes around."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Days = NDArray[np.int32]
Codes = NDArray[np.int32]
Small = NDArray[np.int8]
Flags = NDArray[np.bool_]
Rates = NDArray[np.float64]

NO_DAY = int(np.iinfo(np.int32).min)
"""Stands where a date is absent."""
NEVER = int(np.iinfo(np.int32).max)
"""A day that does not come."""


def as_int64(values: object) -> Ints:
    return np.asarray(values, dtype=np.int64)
