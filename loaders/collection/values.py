"""How values of a table are told apart and put in order: by their worth, not by how they are printed."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

import numpy as np

from loaders.comparing.difference import unlike
from recorder.errors import OptionError

T = TypeVar("T")

_SIMPLE = (str, int, bool)
_NAN = (2, "")
_NONE = (3, "")
_REFUSALS = (TypeError, ValueError, RuntimeError)
"""What Python, NumPy and torch raise of values that they cannot compare."""


def alike(a: Any, b: Any) -> bool:
    """Whether two values are worth the same.

    Numbers are compared across types, NumPy's among them, as Python does. Lists, tuples and arrays are alike
    that have the same shape and alike elements, all of them. NaN is like NaN, and NaT like NaT.
    """
    if type(a) is type(b) and type(a) in _SIMPLE:
        return bool(a == b)
    a, b = _plain(a), _plain(b)
    if _is_row(a) or _is_row(b):
        return _is_row(a) and _is_row(b) and _alike_rows(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, AbstractSet) and isinstance(b, AbstractSet):
        # Each NaN is an element of its own.
        one, other = ({... if _is_nan(element) else element for element in side} for side in (a, b))
        return one == other
    if _is_complex(a) and _is_complex(b):
        return alike(a.real, b.real) and alike(a.imag, b.imag)
    try:
        return bool(a == b) or (_is_nan(a) and _is_nan(b))
    except _REFUSALS:
        return False


def ordered(items: Iterable[T], value: Callable[[T], Any], *, descending: bool = False) -> list[T]:
    """Sorted by what ``value`` makes of each; those of equal value stay as they are.

    Numbers come first, then texts, then what is of other types, each type by itself; lists, tuples and arrays
    go by their first elements that differ. What is NaN, and then what is None, comes last. ``descending``
    turns the order within each type around, and nothing else.

    Raises
    ------
    OptionError
        There are several values of a type that has no order, such as mappings.
    """
    kinds: dict[tuple[int, str], list[tuple[Any, T]]] = {}
    for item in items:
        kind, rank = _rank(value(item))
        kinds.setdefault(kind, []).append((rank, item))
    found: list[T] = []
    for kind in sorted(kinds):
        several = kinds[kind]
        if kind < _NAN:
            try:
                several.sort(key=lambda one: one[0], reverse=descending)
            except _REFUSALS as error:
                raise OptionError(
                    "values to sort by are numbers, texts, or others that have an order among themselves;"
                    f" those of type {kind[1]} have none here. Give a function that makes a number of each"
                ) from error
        found += [item for _, item in several]
    return found


def _rank(value: Any) -> tuple[tuple[int, str], Any]:
    """The kind of a value, in the order of kinds, and what stands for it among its kind."""
    value = _plain(value)
    if value is None:
        return _NONE, None
    if isinstance(value, np.ndarray) or type(value) in (list, tuple):
        return (1, "list"), [_rank(element) for element in value]
    if _is_nan(value):
        return _NAN, None
    if isinstance(value, numbers.Number | np.bool_) and not isinstance(value, np.timedelta64):
        # Python compares numbers exactly, whatever their types.
        number: Any = value.item() if isinstance(value, np.generic) else value
        return (
            ((1, "complex"), (number.real, number.imag)) if _is_complex(number) else ((0, "number"), number)
        )
    if isinstance(value, str):
        return (0, "text"), value
    # "Less than" of sets is no order: most are neither less than another nor greater.
    return (1, type(value).__name__), object() if isinstance(value, AbstractSet) else value


def _plain(value: Any) -> Any:
    """An array without dimensions is its one element."""
    return value[()] if isinstance(value, np.ndarray) and not value.ndim else value


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _alike_rows(a: Any, b: Any) -> bool:
    if len(a) != len(b):
        return False
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        try:
            return a.shape == b.shape and not np.any(unlike(a, b))
        except TypeError:  # such as dates and numbers
            return False
    return all(map(alike, a, b))


def _is_complex(value: Any) -> bool:
    return isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real)


def _is_nan(value: Any) -> bool:
    """NaN or NaT, whoever's."""
    try:
        return bool(value != value)  # noqa: PLR0124
    except _REFUSALS:
        return False
