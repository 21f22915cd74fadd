"""One thing that two recordings do not have in common, and how values are told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recorder.format.printable import printable

_SHOWN = 60
_PLAIN = (str, bytes, bool, int, float)


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
        for key, one, other in _entries_of(a, b):
            yield from unequal(part, f"{where}.{key}" if where else str(key), one, other)
    elif not same(a, b):
        yield Difference(part, where, a, b)


def same(a: Any, b: Any) -> bool:
    """Equal in type, dtype, shape and value; NaN equals NaN, and -0.0 equals 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and not np.any(unlike(a, b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and sorted(map(_identity, a)) == sorted(map(_identity, b))
    if isinstance(a, Mapping):
        return len(a) == len(b) and all(same(one, other) for _, one, other in _entries_of(a, b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if hasattr(a, "tocsr") and hasattr(b, "tocsr"):
        return a.shape == b.shape and a.dtype == b.dtype and not unlike(*_entries(a, b)).any()
    try:
        # Times of two zones, or decimals of two precisions, may be equal and are not the same.
        alike = bool(a == b) and (isinstance(a, _PLAIN) or repr(a) == repr(b))
        return alike or bool(a != a and b != b)  # noqa: PLR0124 - NaN, of any sort
    except (ValueError, TypeError):
        return repr(a) == repr(b)


def _entries_of(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Each key and its two values: of 1, 1.0 and True, each is a key of its own."""
    one, other = ({_identity(key): value for key, value in of.items()} for of in (a, b))
    for name, key in {_identity(key): key for key in [*a, *b]}.items():
        yield key, one.get(name, ABSENT), other.get(name, ABSENT)


def _identity(key: Any) -> str:
    """A text that is the same for keys, or members of sets, that are the same."""
    if type(key) is float:
        return f"float {key + 0.0!r}"  # of both zeros the same
    if isinstance(key, tuple):
        return f"{type(key)} ({', '.join(map(_identity, key))})"
    if isinstance(key, frozenset):
        return f"{type(key)} {{{', '.join(sorted(map(_identity, key)))}}}"
    if isinstance(key, np.generic):
        return f"{key.dtype.str} {key!r}"
    return f"{type(key)} {key!r}"


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
    """Where two arrays of one shape differ, bool; NaN equals NaN, in each part of a complex number."""
    if "O" in (a.dtype.kind, b.dtype.kind):
        pairs = zip(np.ravel(a), np.ravel(b), strict=True)
        return np.array([not same(x, y) for x, y in pairs], bool).reshape(a.shape)
    if a.dtype.names and a.dtype.names == b.dtype.names:
        differ = np.zeros(a.shape, bool)
        for name in a.dtype.names:
            field = unlike(a[name], b[name])
            differ |= field.any(axis=tuple(range(a.ndim, field.ndim)))
        return differ
    if a.dtype.kind == b.dtype.kind == "c":
        return unlike(a.real, b.real) | unlike(a.imag, b.imag)
    try:
        differ = np.asarray(a != b)
    except TypeError:  # such as dates and numbers
        return np.ones(a.shape, bool)
    if a.dtype.kind in "fc" and b.dtype.kind in "fc":
        differ &= ~(np.isnan(a) & np.isnan(b))
    if a.dtype.kind in "mM" and b.dtype.kind in "mM":
        differ &= ~(np.isnat(a) & np.isnat(b))
    return differ


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
