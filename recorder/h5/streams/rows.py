"""Rows of a ring record as each stream logged them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.ring.record import Logged, LoggedTable

MAIN, HEAD, NEED, VALUE, END = "main", "head", "need", "value", "end"


class Rows:
    """What one record holds, cut to what was published.

    A side table's row counts only once the main row it was logged with is published: ``need`` is the
    number of main rows that must be there, so a kill between the two stores leaves no half step.
    """

    def __init__(self, record: Logged) -> None:
        self._record = record
        self.streams: dict[str, dict[str, Any]] = record.meta["streams"]
        self.count = record.tables[MAIN].count
        self.timesteps: NDArray[np.int64] = record.tables[MAIN].columns[HEAD]["timestep"][: self.count]

    def names(self, group: str) -> list[str]:
        """Streams of a group, in the order in which they were first logged."""
        return [name for name in self.streams if name.partition("/")[0] == group]

    def column(self, name: str) -> tuple[NDArray[np.int64] | None, NDArray[Any]]:
        """A stream's main rows (None for all of them) and its values, one per row."""
        place = self.streams[name]
        view = self._record.tables[place["table"]]
        if place["table"] == MAIN:
            values = view.columns[place["field"]]
            if place["field"] == HEAD:
                values = values[place["item"]]
            return None, values[: self.count]
        rows = self.table(place["table"])
        need = view.columns[NEED][:rows]
        return need - 1, view.columns[VALUE][:rows]

    def table(self, name: str) -> int:
        """Rows of a side table that count."""
        view = self._record.tables[name]
        need = view.columns[NEED][: view.count]
        return int(np.searchsorted(need, self.count, side="right"))

    def view(self, name: str) -> LoggedTable | None:
        """A table of the record, if it has one of that name."""
        return self._record.tables.get(name)

    def timesteps_of(self, rows: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """The timesteps of these main rows."""
        return self.timesteps if rows is None else self.timesteps[rows]
