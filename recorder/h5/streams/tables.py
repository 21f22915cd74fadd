"""Weight changes and events: tables of their own, logged between the steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from recorder.format.layout import ENCODING, EVENTS, EVENTS_JSON, TABLE, WEIGHT_CHANGES
from recorder.h5.chunking import Chunking
from recorder.h5.streams.column import ITEM_CHUNK, Column
from recorder.h5.streams.part import Part
from recorder.h5.streams.rows import Rows


class WeightPart(Part):
    """One column per field of the ring's table, but for the bookkeeping one."""

    group = WEIGHT_CHANGES

    def __init__(self, chunking: Chunking) -> None:
        super().__init__(chunking)
        self.changes = 0

    def feed(self, rows: Rows) -> None:
        """Take a record's weight changes."""
        view = rows.view(WEIGHT_CHANGES)
        count = rows.table(WEIGHT_CHANGES) if view else 0
        if view is None or not count:
            return
        table = view.columns["row"][:count]
        for name in table.dtype.names or ():
            values = table[name]
            if name not in self._columns:
                self._columns[name] = self.column(name, values.dtype, items=ITEM_CHUNK)
            self._columns[name].push(values)
        self.changes += count

    def attributes(self) -> dict[str, Any]:
        """The encoding."""
        return {ENCODING: TABLE} if self._columns else {}

    def totals(self) -> dict[str, Any]:
        """Number of changes."""
        return {"total_weight_changes": self.changes} if self._columns else {}

    def rows(self) -> dict[str, int]:
        """Number of changes."""
        return {WEIGHT_CHANGES: self.changes} if self._columns else {}

    def whole(self) -> dict[str, int]:
        """Changes of which every column is in the file."""
        return {WEIGHT_CHANGES: min(c.committed for c in self.columns())} if self._columns else {}

    def state(self) -> dict[str, Any]:
        """Number of changes and the columns."""
        return {"changes": self.changes, **super().state()}

    def restore(self, state: dict[str, Any], columns: dict[str, Column]) -> None:
        """Become what :meth:`state` described."""
        self.changes = state["changes"]
        super().restore(state, columns)


class EventPart(Part):
    """Timesteps, the end of each event's bytes, and the bytes."""

    group = EVENTS

    def __init__(self, chunking: Chunking) -> None:
        super().__init__(chunking)
        self.events = 0
        self._bytes = 0
        self._open = np.empty(0, np.int64)
        """Ends of the events whose bytes wait."""

    def feed(self, rows: Rows) -> None:
        """Take a record's events."""
        view = rows.view(EVENTS)
        count = rows.table(EVENTS) if view else 0
        if view is None or not count:
            return
        if not self._columns:
            self._columns = {
                "timesteps": self.column("timesteps", np.int64, items=ITEM_CHUNK),
                "ends": self.column("ends", np.int64, items=ITEM_CHUNK),
                "data": self.column("data", np.uint8, items=4 * ITEM_CHUNK),
            }
        table = view.columns["row"][:count]
        used = int(table["end"][-1])
        self._columns["timesteps"].push(table["timesteps"])
        ends = table["end"] + self._bytes
        self._open = np.concatenate([self._open, ends])
        self._columns["ends"].push(ends)
        self._columns["data"].push(view.heap[:used])
        self._bytes += used
        self.events += count

    def attributes(self) -> dict[str, Any]:
        """The encoding."""
        return {ENCODING: EVENTS_JSON} if self._columns else {}

    def totals(self) -> dict[str, Any]:
        """Number of events."""
        return {"total_events": self.events} if self._columns else {}

    def rows(self) -> dict[str, int]:
        """Number of events."""
        return {EVENTS: self.events} if self._columns else {}

    def whole(self) -> dict[str, int]:
        """Events whose timestep, end and bytes are in the file."""
        if not self._columns:
            return {}
        rows = min(self._columns["timesteps"].committed, self._columns["ends"].committed)
        return {EVENTS: min(rows, self.events - len(self._open))}

    def state(self) -> dict[str, Any]:
        """Number of events, how many have bytes that wait, their bytes so far, and the columns."""
        if self._columns:
            self._open = self._open[self._open > self._columns["data"].stored]
        return {
            "events": self.events,
            "open": len(self._open),
            "bytes": self._bytes,
            **super().state(),
        }

    def restore(self, state: dict[str, Any], columns: dict[str, Column]) -> None:
        """Become what :meth:`state` described."""
        self.events, self._bytes = state["events"], state["bytes"]
        # Only how many matters from here on: their ends are all those of the last events.
        self._open = np.full(state.get("open", 0), self._bytes, np.int64)
        super().restore(state, columns)
