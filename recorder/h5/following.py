"""Reading a ring while it is written: what was logged since the last look, copied out and never torn.

The logging thread stores a row before the counter that covers it, and before it lays a record over another
one, it says that this one is gone. So a copy is whole if the record was not gone *after* it was made; that
is asked once more for every copy, and the writer never knows that anybody looks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.layout import EVENTS, SPIKES
from recorder.h5.streams.rows import END, HEAD, MAIN, NEED
from recorder.ring.arena import Ring
from recorder.ring.record import ROWS, Record


class Overtaken(Exception):  # noqa: N818  it is no error: what is missing stands in the file
    """The writer used a record's memory again before its rows were copied."""


class PieceTable:
    """Some rows of one table, copied; what feeds an episode finds the same in a ``TableView``."""

    def __init__(self, columns: dict[str, NDArray[Any]], heap: NDArray[np.uint8], count: int) -> None:
        self.columns, self.heap, self.count = columns, heap, count


class Piece:
    """What a record got between two looks, in the form of a record that holds nothing else."""

    def __init__(self, record: Record, tables: dict[str, PieceTable]) -> None:
        self.kind, self.seq, self.meta, self.tables = record.kind, record.seq, record.meta, tables

    @property
    def steps(self) -> int:
        """Timesteps in it."""
        return self.tables[MAIN].count if self.kind == ROWS else 0


class Follower:
    """Goes from record to record and takes what is new.

    Parameters
    ----------
    ring : Ring
        One that was opened for reading.
    seq : int
        The first record that is wanted.
    """

    def __init__(self, ring: Ring, seq: int) -> None:
        self.ring, self.seq = ring, seq
        self._record: Record | None = None
        self._taken: dict[str, int] = {}

    def take(self) -> list[Piece]:
        """What was logged since the last call, in order; [] if nothing was.

        Raises
        ------
        Overtaken
            The rows that come next are no longer in the ring.
        DamagedError
            The ring is damaged.
        """
        pieces: list[Piece] = []
        try:
            while self.seq < self.ring.published:
                piece, sealed = self._look()
                if piece is not None:
                    pieces.append(piece)
                if not sealed:
                    break
                self.seq, self._record, self._taken = self.seq + 1, None, {}
        except Overtaken:
            if not pieces:
                raise
        return pieces

    def _look(self) -> tuple[Piece | None, bool]:
        try:
            record = self._record or self.ring.record(self.seq)
            # Before the counters: what is sealed gets no more rows.
            sealed = record.sealed
            tables, taken = self._copied(record) if self._grew(record) else ({}, self._taken)
        except (DamagedError, ValueError, IndexError, KeyError, TypeError):
            self._check()
            raise
        self._check()
        fresh = not self._record
        self._record, self._taken = record, taken
        if record.kind == ROWS and not any(table.count for table in tables.values()):
            return None, sealed
        return (Piece(record, tables) if record.kind == ROWS or fresh else None), sealed

    def _check(self) -> None:
        if self.ring.gone > self.seq:
            raise Overtaken

    def _grew(self, record: Record) -> bool:
        return any(view.count > self._taken.get(name, 0) for name, view in record.tables.items())

    def _copied(self, record: Record) -> tuple[dict[str, PieceTable], dict[str, int]]:
        main = record.tables.get(MAIN)
        if main is None:
            return {}, {}
        # Before those of side tables, whose rows are stored before the main row that they belong to.
        rows, before = main.count, self._taken.get(MAIN, 0)
        tables, taken = {}, {}
        for name, view in record.tables.items():
            first = self._taken.get(name, 0)
            last = rows
            if name != MAIN:
                count = view.count
                last = int(np.searchsorted(view.columns[NEED][:count], rows, side="right"))
            last = max(first, last)
            tables[name], taken[name] = _copy(record, name, first, last, before), last
        return tables, taken


def _copy(record: Record, name: str, first: int, last: int, before: int) -> PieceTable:
    """Rows of a table as if these, and their main rows, of which ``before`` came earlier, were the first."""
    view = record.tables[name]
    columns = {column: rows[first:last].copy() for column, rows in view.columns.items()}
    if NEED in columns:
        columns[NEED] -= before
    ends, width = _ends(record, name, columns)
    if not len(ends):
        return PieceTable(columns, view.heap[:0].copy(), last - first)
    start = int(_ends(record, name, view.columns)[0][first - 1]) if first else 0
    heap = view.heap[width * start : width * int(ends[-1])].copy()
    ends -= start
    return PieceTable(columns, heap, last - first)


def _ends(record: Record, name: str, columns: dict[str, NDArray[Any]]) -> tuple[NDArray[np.int64], int]:
    """Where each row's part of the heap ends, and the bytes of what is counted there; empty without one."""
    if name == EVENTS:
        return columns["row"]["end"], 1
    place = record.meta["streams"].get(SPIKES, {})
    if place.get("heap") != name:
        return np.empty(0, np.int64), 1
    return (columns[HEAD][place["item"]] if name == MAIN else columns[END]), 8
