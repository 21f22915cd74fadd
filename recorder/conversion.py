"""What NumPy would lose, without a word, on the way from a value to an array of one dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLAIN = frozenset({bool, int, float, complex})
_EXACT = 2.0**53
"""From here on float64 lacks integers."""


def what_is_lost(value: Any) -> str:
    """A mask within a list, or a missing value or a dtype of a pandas table; empty where nothing is."""
    if isinstance(value, np.ma.MaskedArray):
        return "a masked array"
    if isinstance(value, np.ndarray | np.generic) or type(value) in _PLAIN:
        return ""
    if isinstance(value, list | tuple):
        return next(filter(None, (what_is_lost(item) for item in value if type(item) not in _PLAIN)), "")
    if hasattr(value, "columns") and hasattr(value, "dtypes") and len(set(value.dtypes)) > 1:
        return "columns of several dtypes"
    dtype = getattr(value, "dtype", np.dtype(float))
    if not isinstance(dtype, np.dtype) and hasattr(value, "isna") and np.any(value.isna()):
        return "missing values"
    return ""


def digits_lost(value: Any, array: NDArray[Any]) -> str:
    """Integers of a list that became other numbers beside floats, or beside one that is past int64."""
    if not isinstance(value, list | tuple) or array.dtype.kind not in "fc" or not array.size:
        return ""
    with np.errstate(all="ignore"):
        large = np.flatnonzero(np.abs(array.real) >= _EXACT)
    if not len(large):
        return ""
    given, stored = np.asarray(value, dtype=object).reshape(-1), array.real.reshape(-1)
    if all(isinstance(number, int | np.integer) for number in given):
        return "integers that no one dtype holds"
    for place in large.tolist():
        number = given[place]
        if isinstance(number, int | np.integer) and int(number) != int(stored[place]):
            return f"the integer {number}, which {array.dtype} does not hold"
    return ""
