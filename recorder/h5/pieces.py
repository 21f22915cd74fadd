"""Parts of ring records, copied: in the form of records that hold nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import EVENTS, SPIKES
from recorder.h5.streams.rows import END, HEAD, MAIN, NEED
from recorder.ring.record import LATER_ROWS, ROWS, Record


class PieceTable:
    """Some rows of one table, copied; what feeds an episode finds the same in a ``TableView``."""

    def __init__(self, columns: dict[str, NDArray[Any]], heap: NDArray[np.uint8], count: int) -> None:
        self.columns, self.heap, self.count = columns, heap, count


class Piece:
    """A part of a record, in the form of one that holds nothing else."""

    def __init__(self, record: Record, tables: dict[str, PieceTable]) -> None:
        self.kind = ROWS if record.kind == LATER_ROWS else record.kind
        self.seq, self.meta, self.tables = record.seq, record.meta, tables

    @property
    def steps(self) -> int:
        """Timesteps in it."""
        return self.tables[MAIN].count if self.kind == ROWS else 0


def begun(record: Record, rows: int) -> dict[str, int]:
    """How many rows of each table go with the first ``rows`` rows of the main one."""
    out = {MAIN: min(rows, record.tables[MAIN].count)}
    for name, view in record.tables.items():
        if name != MAIN:
            out[name] = int(np.searchsorted(view.columns[NEED][: view.count], rows, side="right"))
    return out


def copied(record: Record, taken: Mapping[str, int]) -> tuple[dict[str, PieceTable], dict[str, int]]:
    """What came after the first ``taken`` rows of each table, and how many rows there are then."""
    main = record.tables.get(MAIN)
    if main is None:
        return {}, {}
    # Before those of side tables, whose rows are stored before the main row that they belong to.
    rows, before = main.count, taken.get(MAIN, 0)
    tables, upto = {}, {}
    for name, view in record.tables.items():
        first = taken.get(name, 0)
        last = rows
        if name != MAIN:
            count = view.count
            last = int(np.searchsorted(view.columns[NEED][:count], rows, side="right"))
        last = max(first, last)
        tables[name], upto[name] = _copy(record, name, first, last, before), last
    return tables, upto


def tail(record: Record, skip: int) -> Piece:
    """A record of rows as if its first ``skip`` ones, and what goes with them, had not been logged."""
    # What was logged before the first row goes with none of them: it is left out with the first one.
    piece = Piece(record, copied(record, begun(record, skip) if skip else {})[0])
    piece.kind = ROWS
    return piece


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
