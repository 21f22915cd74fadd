"""Tables of a block: columns of fixed row size, with a counter that publishes rows.

Writer, repair and readers lay a block out from the same description, which stands as JSON in the
block itself, so a ring can be read without the process that wrote it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGN = 64

Dtype = str | list[list[str]]
"""A dtype as JSON: NumPy's string, or (name, string) pairs of a packed record."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column: a dtype and the shape of a row."""

    name: str
    dtype: Dtype
    shape: tuple[int, ...] = ()
    numpy_dtype: np.dtype[Any] = field(init=False, repr=False, compare=False)
    """The column's dtype."""
    row_bytes: int = field(init=False, repr=False, compare=False)
    """Bytes of one row."""

    def __post_init__(self) -> None:
        given = self.dtype
        kind = np.dtype(given if isinstance(given, str) else [(name, item) for name, item in given])
        object.__setattr__(self, "numpy_dtype", kind)
        object.__setattr__(self, "row_bytes", kind.itemsize * math.prod(self.shape))


@dataclass(frozen=True, slots=True)
class Table:
    """Columns that grow together, up to ``rows`` rows, and a heap for what has no fixed size."""

    name: str
    rows: int
    fields: tuple[Field, ...]
    heap_bytes: int = 0

    @property
    def row_bytes(self) -> int:
        """Bytes of one row over all columns."""
        return sum(one.row_bytes for one in self.fields)

    @property
    def nbytes(self) -> int:
        """Bytes in a block, alignment included."""
        return sum(_align(one.row_bytes * self.rows) for one in self.fields) + _align(self.heap_bytes)

    def to_json(self) -> list[Any]:
        """The table as JSON; :meth:`from_json` is its inverse."""
        return [
            self.name,
            self.rows,
            [[f.name, f.dtype, list(f.shape)] for f in self.fields],
            self.heap_bytes,
        ]

    @classmethod
    def from_json(cls, data: list[Any]) -> Table:
        """The table that :meth:`to_json` wrote."""
        name, rows, fields, heap = data
        return cls(name, rows, tuple(Field(n, d, tuple(s)) for n, d, s in fields), heap)


class TableView:
    """A table's memory within a block. Arrays are views: nothing is copied."""

    __slots__ = ("columns", "counters", "heap", "index", "table")

    def __init__(
        self, table: Table, buffer: NDArray[np.uint8], offset: int, counters: NDArray[np.int64], index: int
    ) -> None:
        self.table, self.counters, self.index = table, counters, index
        self.columns: dict[str, NDArray[Any]] = {}
        for one in table.fields:
            size = one.row_bytes * table.rows
            rows = buffer[offset : offset + size].view(one.numpy_dtype)
            self.columns[one.name] = rows.reshape(table.rows, *one.shape) if one.shape else rows
            offset += _align(size)
        self.heap = buffer[offset : offset + table.heap_bytes]

    @property
    def count(self) -> int:
        """Published rows."""
        return int(self.counters[2 * self.index])

    @count.setter
    def count(self, rows: int) -> None:
        self.counters[2 * self.index] = rows

    @property
    def heap_used(self) -> int:
        """Published bytes of the heap."""
        return int(self.counters[2 * self.index + 1])

    @heap_used.setter
    def heap_used(self, size: int) -> None:
        self.counters[2 * self.index + 1] = size


def _align(size: int) -> int:
    return -(-size // ALIGN) * ALIGN
