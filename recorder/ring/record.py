"""Records of the ring: a header, a JSON description and, for rows, the tables.

::

    0   <4sI    magic, kind
    8   <Q      sequence number
    16  <Q      length in bytes, header included
    24  <II     length and CRC-32 of the description
    32  <Q      1 once nothing more will be added
    40  <Q      number of counters
    48  <QQ     wanted, skip: see the kinds
    64  <q...   counters: rows and heap bytes of each table, published by plain stores
    ..          description, then the tables, each column on a 64-byte boundary

A kill lands between two stores of the process, and the kernel keeps every store before it, so a
counter stored after its row is all that publishing takes. A reader in another process on a machine
with a weaker memory order may see a counter early; see ``decisions/0002-ring.md``.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.ring.tables import ALIGN, Table, TableView

START, ROWS, END = 1, 2, 3
HELD, LET_GO, LATER_ROWS = 4, 5, 6
"""Rows of which nobody knows yet whether they are stored: of all of them together, the last *wanted* may be.
By a single store they become rows (2), rows that never are (5), or rows but for the first *skip* ones (6)."""


_MAGIC = b"FRBK"
_HEADER = struct.Struct("<4sIQQIIQQ")
_COUNTERS = 64
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode


class LoggedTable(Protocol):
    """Rows of a table: of a record in place, or of a copy of some."""

    @property
    def columns(self) -> Mapping[str, NDArray[Any]]:
        """Columns by name; rows that were not published may follow."""

    @property
    def heap(self) -> NDArray[np.uint8]:
        """What has no fixed size."""

    @property
    def count(self) -> int:
        """Published rows."""


class Logged(Protocol):
    """A record, in place or in part, as episodes are fed with it."""

    @property
    def kind(self) -> int:
        """``START``, ``ROWS``, ``END``, or ``LET_GO``, of which nothing is stored."""

    @property
    def meta(self) -> dict[str, Any]:
        """Its description."""

    @property
    def tables(self) -> Mapping[str, LoggedTable]:
        """Its tables by name."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a record says of itself, and so its size; one serves many records, and nobody changes it."""

    meta: dict[str, Any]
    tables: tuple[Table, ...]
    raw: bytes
    nbytes: int
    """Bytes of such a record."""

    @classmethod
    def of(cls, meta: dict[str, Any], tables: tuple[Table, ...] = ()) -> Description:
        """That of a record with these tables."""
        meta = {**meta, "tables": [table.to_json() for table in tables]}
        raw = _ENCODE(meta).encode()
        nbytes = _data_offset(len(tables), len(raw)) + sum(table.nbytes for table in tables)
        return cls(meta, tables, raw, nbytes)


class Record:
    """One record in place. ``tables`` is empty unless it holds rows."""

    __slots__ = ("_memory", "counters", "kind", "length", "meta", "seq", "tables")

    def __init__(
        self,
        memory: NDArray[np.uint8],
        kind: int,
        seq: int,
        meta: dict[str, Any],
        counters: NDArray[np.int64],
        data_offset: int,
        tables: Iterable[Table],
    ) -> None:
        self._memory, self.kind, self.seq, self.meta, self.counters = memory, kind, seq, meta, counters
        self.length = len(memory)
        self.tables: dict[str, TableView] = {}
        offset = data_offset
        for index, table in enumerate(tables):
            self.tables[table.name] = TableView(table, memory, offset, counters, index)
            offset += table.nbytes

    @property
    def sealed(self) -> bool:
        """Whether nothing more will be added."""
        return bool(self._memory[32])

    @property
    def used(self) -> int:
        """Bytes of the rows that were published."""
        views = self.tables.values()
        return sum(view.count * view.table.row_bytes + view.heap_used for view in views)

    def seal(self) -> None:
        """Say that nothing more will be added."""
        self._memory[32] = 1

    @property
    def wanted(self) -> int:
        """Of held rows: how many of all."""
        return int(self._memory[48:56].view(np.uint64)[0])

    @property
    def skip(self) -> int:
        """Of ``LATER_ROWS``: how many rows at its beginning are not to be stored."""
        return int(self._memory[56:64].view(np.uint64)[0])

    @skip.setter
    def skip(self, rows: int) -> None:
        self._memory[56:64].view(np.uint64)[0] = rows

    def turn_into(self, kind: int) -> None:
        """What is held is rows from now on, or let go."""
        self._memory[4:8].view(np.uint32)[0] = kind
        self.kind = kind

    @classmethod
    def create(
        cls, memory: NDArray[np.uint8], kind: int, seq: int, described: Description, wanted: int = 0
    ) -> Record:
        """Lay a new record out over ``memory``; it is not published by this."""
        tables, raw_meta = len(described.tables), described.raw
        _HEADER.pack_into(
            memory.data, 0, _MAGIC, kind, seq, len(memory), len(raw_meta), zlib.crc32(raw_meta), 0, 2 * tables
        )
        counters = memory[_COUNTERS : _COUNTERS + 16 * tables].view(np.int64)
        counters[:] = 0
        memory[48:64].view(np.uint64)[:] = wanted, 0
        start = _COUNTERS + 16 * tables
        memory[start : start + len(raw_meta)] = np.frombuffer(raw_meta, np.uint8)
        start = _data_offset(tables, len(raw_meta))
        return cls(memory, kind, seq, described.meta, counters, start, described.tables)

    @classmethod
    def open(cls, memory: NDArray[np.uint8], seq: int) -> Record:
        """The record that ``memory`` begins with.

        Raises
        ------
        DamagedError
            The header or the description is not what :meth:`create` wrote.
        """
        if len(memory) < _COUNTERS:
            raise DamagedError(f"ring record {seq}: no room for a header")
        magic, kind, found, length, meta_len, crc, _, counters = _HEADER.unpack_from(memory.data, 0)
        start = _COUNTERS + 8 * counters
        if magic != _MAGIC or found != seq or not start + meta_len <= length <= len(memory):
            raise DamagedError(f"ring record {seq}: its header is not one")
        raw = memory[start : start + meta_len].tobytes()
        if zlib.crc32(raw) != crc:
            raise DamagedError(f"ring record {seq}: its description fails its checksum")
        meta, tables = _described(raw)
        view = memory[_COUNTERS:start].view(np.int64)
        return cls(memory[:length], kind, seq, meta, view, _data_offset(counters // 2, meta_len), tables)


@lru_cache(maxsize=16)
def _described(raw: bytes) -> tuple[dict[str, Any], tuple[Table, ...]]:
    """A description, which short episodes share: nobody changes it."""
    meta = json.loads(raw)
    return meta, tuple(Table.from_json(item) for item in meta.get("tables", ()))


def _data_offset(tables: int, meta_len: int) -> int:
    return -(-(_COUNTERS + 16 * tables + meta_len) // ALIGN) * ALIGN
