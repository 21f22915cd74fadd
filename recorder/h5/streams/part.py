"""What an episode is made of: one part per group of datasets."""

from __future__ import annotations

import abc
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import TIMESTEPS
from recorder.h5.chunking import Chunking
from recorder.h5.streams.clock import ClockColumn
from recorder.h5.streams.column import Column
from recorder.h5.streams.rows import Rows


class Part(abc.ABC):
    """One group's datasets. Fed with records in order; its columns are drained by the episode."""

    group: str

    def __init__(self, chunking: Chunking) -> None:
        self.chunking = chunking
        self._columns: dict[str, Column] = {}

    @abc.abstractmethod
    def feed(self, rows: Rows) -> None:
        """Take what a record holds for this group."""

    def columns(self) -> list[Column]:
        """All columns, sources of forked ones before them."""
        return list(self._columns.values())

    def close(self) -> None:  # noqa: B027 - most parts hold nothing back
        """Push what the encoder still holds: no more rows will come."""

    def open_rows(self) -> list[tuple[Column, NDArray[Any]]]:
        """Rows that would be pushed if none came any more, by column; most parts hold nothing back."""
        return []

    def attributes(self) -> dict[str, Any]:
        """The group's attributes; none as long as there is nothing in it."""
        return {}

    def totals(self) -> dict[str, Any]:
        """What this part adds to the episode's attributes."""
        return {}

    @abc.abstractmethod
    def rows(self) -> dict[str, int]:
        """Rows so far by stream."""

    @abc.abstractmethod
    def whole(self) -> dict[str, int]:
        """Of these, the rows of which nothing waits: whatever happens to the ring, they are in the file."""

    def state(self) -> dict[str, Any]:
        """Everything but the columns' rows, as JSON; columns stand in it as their paths."""
        return {"columns": {name: column.path for name, column in self._columns.items()}}

    def restore(self, state: dict[str, Any], columns: dict[str, Column]) -> None:
        """Become what :meth:`state` described."""
        self._columns = {name: columns[path] for name, path in state["columns"].items()}

    def column(
        self, name: str, dtype: Any, shape: tuple[int, ...] = (), *, items: int = 0, **attributes: Any
    ) -> Column:
        """A new column of this group; ``items`` is its chunk's length where rows are not steps."""
        kind = np.dtype(dtype)
        size = kind.itemsize * math.prod(shape)
        rows = items or self.chunking.chunk_rows(size)
        return Column(f"{self.group}/{name}", kind, shape, rows, attributes)

    def clock(self, name: str = TIMESTEPS) -> Column:
        """A new column of timesteps, one a row of a stream."""
        kind = np.dtype(np.int64)
        rows = self.chunking.chunk_rows(kind.itemsize)
        return ClockColumn(f"{self.group}/{name}", kind, (), rows, {})
