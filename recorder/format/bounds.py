"""Bounds of ranges of timesteps: timesteps are whole numbers, what bounds them is any real one."""

from __future__ import annotations

import math
import operator
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from recorder.errors import TimestepError

BEYOND = 2**63
"""After every timestep; the least one is its negative."""


def first_at(bound: Any, name: str = "timestep") -> int:
    """The first timestep that is not before ``bound``: ``t >= bound`` exactly where ``t >= first_at(bound)``.

    Raises
    ------
    TimestepError
        It is no real number, or none at all (NaN).
    """
    return _whole(bound, name, up=True)


def first_after(bound: Any, name: str = "timestep") -> int:
    """The first timestep after ``bound``; errors as those of :func:`first_at`."""
    return min(_whole(bound, name, up=False) + 1, BEYOND)


def half_open(start: Any, stop: Any) -> tuple[int | None, int | None]:
    """``start <= t < stop`` with whole numbers; None leaves a side open. Errors as of :func:`first_at`."""
    return (
        None if start is None else first_at(start, "start"),
        None if stop is None else first_at(stop, "stop"),
    )


def whole_count(value: Any, name: str) -> int:
    """How many, from 0 on.

    Raises
    ------
    TimestepError
        No whole number, or one below 0.
    """
    try:
        found = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = -1
    if found < 0:
        raise TimestepError(name, "a whole number of at least 0", repr(value)[:80])
    return found


def _whole(bound: Any, name: str, *, up: bool) -> int:
    if isinstance(bound, np.ndarray) and bound.ndim == 0:
        bound = bound[()]
    return min(max(_rounded(bound, name, up), -BEYOND), BEYOND)


def _rounded(bound: Any, name: str, up: bool) -> int:
    if not isinstance(bound, bool | np.ndarray):
        try:
            return operator.index(bound)
        except TypeError:
            pass
        try:
            if isinstance(bound, np.floating):  # math would make a float of a longer one
                return int(np.ceil(bound) if up else np.floor(bound))
            if isinstance(bound, Real | Decimal):
                return int(math.ceil(bound) if up else math.floor(bound))
        except OverflowError:
            return BEYOND if bound > 0 else -BEYOND
        except ValueError:
            pass
    raise TimestepError(name, "a real number", repr(bound)[:80])
