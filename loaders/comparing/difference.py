"""One thing that two recordings do not have in common, and how values are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recorder.format.printable import printable

_SHOWN = 60


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()
"""Stands where one of two has nothing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes
    ----------
    part : str
        ``data``, ``configuration``, ``metadata``, ``code``, ``environment`` or ``random``.
    where : str
        What of it, such as ``episode 3/neural_states/v`` or ``optimizer.lr``.
    a, b : object
        What the first and the second recording have there; ``ABSENT`` for nothing.
    note : str
        Further facts in words: how many rows differ, where first, and by how much.
    """

    part: str
    where: str
    a: Any
    b: Any
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.part}: {self.where}: {_short(self.a)} | {_short(self.b)}"
        text += f"  ({self.note})" if self.note else ""
        return printable(text)


def unequal(part: str, where: str, a: Any, b: Any) -> Iterator[Difference]:
    """Differences between two values of any nesting, one for each leaf."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in [*a, *(key for key in b if key not in a)]:
            yield from unequal(
                part, f"{where}.{key}" if where else str(key), a.get(key, ABSENT), b.get(key, ABSENT)
            )
    elif not same(a, b):
        yield Difference(part, where, a, b)


def same(a: Any, b: Any) -> bool:
    """Equal in type, dtype, shape and value; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and not unlike(a, b).any()
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if hasattr(a, "tocsr") and hasattr(b, "tocsr"):
        return a.shape == b.shape and a.dtype == b.dtype and not unlike(*_entries(a, b)).any()
    try:
        return bool(a == b) or bool(a != a and b != b)  # noqa: PLR0124 - NaN and NaT, of any sort
    except (ValueError, TypeError):
        return repr(a) == repr(b)


def _entries(a: Any, b: Any) -> tuple[Any, Any]:
    """What two sparse matrices of one shape have, in one order; unlike where they do not have as much."""
    columns = []
    for matrix in (a, b):
        made = matrix.tocsr(copy=True)
        made.sum_duplicates()
        columns.append((made.indptr, made.indices, made.data))
    if columns[0][2].shape != columns[1][2].shape:
        return np.zeros(1), np.ones(1)
    (rows, places, data), (other_rows, other_places, others) = columns
    if not (np.array_equal(rows, other_rows) and np.array_equal(places, other_places)):
        return np.zeros(1), np.ones(1)
    return data, others


def unlike(a: Any, b: Any) -> Any:
    """Where two arrays of one shape differ, bool; NaN equals NaN."""
    differ = a != b
    if a.dtype.kind in "fc" and b.dtype.kind in "fc":
        differ &= ~(np.isnan(a) & np.isnan(b))
    if a.dtype.kind in "mM" and b.dtype.kind in "mM":
        differ &= ~(np.isnat(a) & np.isnat(b))
    return differ


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
