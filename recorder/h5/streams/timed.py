"""neural_states and behavior: a column per key, and timesteps that keys share as long as they can."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import OWN_TIMESTEPS, PRECISION, TIMESTEPS
from recorder.h5.chunking import Chunking
from recorder.h5.streams.column import Column
from recorder.h5.streams.part import Part
from recorder.h5.streams.rows import Rows


class TimedPart(Part):
    """The group's own timesteps hold every step that gave it anything.

    A key whose steps are not these (it began late, missed one, is sampled at another rate) gets
    timesteps of its own, which begin as a copy of the shared ones.
    """

    def __init__(self, group: str, chunking: Chunking, precision: Mapping[str, float]) -> None:
        super().__init__(chunking)
        self.group, self._precision = group, precision
        self._steps: Column | None = None
        self._values: dict[str, Column] = {}
        self._own: dict[str, Column] = {}

    def feed(self, rows: Rows) -> None:
        """Take the values of all keys."""
        given = {name.partition("/")[2]: rows.column(name) for name in rows.names(self.group)}
        union = _union([places for places, values in given.values() if len(values)])
        shared = rows.timesteps_of(union) if given and _any_rows(given) else rows.timesteps[:0]
        for key, (places, values) in given.items():
            if not len(values) and key not in self._values:
                continue
            if key not in self._values:
                self._begin(key, values)
            if key not in self._own and not _same(places, union, len(values), len(shared)):
                self._split(key)
            if key in self._own:
                self._own[key].push(rows.timesteps_of(places))
            self._values[key].push(values)
        if len(shared):
            for key in self._values.keys() - given.keys() - self._own.keys():
                self._split(key)
            if self._steps is None:
                self._steps = self.clock()
            self._steps.push(shared)

    def columns(self) -> list[Column]:
        """Shared timesteps, then values, then own timesteps."""
        steps = [] if self._steps is None else [self._steps]
        return [*steps, *self._values.values(), *self._own.values()]

    def rows(self) -> dict[str, int]:
        """Rows of each key."""
        return {column.path: column.rows for column in self._values.values()}

    def whole(self) -> dict[str, int]:
        """Rows of each key whose value and timestep are in the file."""
        found = {}
        for key, column in self._values.items():
            clock = self._own.get(key, self._steps)
            found[column.path] = min(column.committed, clock.committed if clock else 0)
        return found

    def state(self) -> dict[str, Any]:
        """Which keys there are and which have timesteps of their own."""
        return {
            "steps": self._steps.path if self._steps else None,
            "values": {key: column.path for key, column in self._values.items()},
            "own": {key: column.path for key, column in self._own.items()},
        }

    def restore(self, state: dict[str, Any], columns: dict[str, Column]) -> None:
        """Become what :meth:`state` described."""
        self._steps = columns[state["steps"]] if state["steps"] else None
        self._values = {key: columns[path] for key, path in state["values"].items()}
        self._own = {key: columns[path] for key, path in state["own"].items()}

    def _begin(self, key: str, values: NDArray[Any]) -> None:
        self._values[key] = self.column(key, values.dtype, values.shape[1:], timesteps=TIMESTEPS)
        if f"{self.group}/{key}" in self._precision:
            self._values[key].set_attribute(PRECISION, self._precision[f"{self.group}/{key}"])
        if self._steps is not None and self._steps.rows:
            self._own[key] = self.clock(key + OWN_TIMESTEPS)
            self._values[key].set_attribute(TIMESTEPS, key + OWN_TIMESTEPS)

    def _split(self, key: str) -> None:
        path = f"{self.group}/{key}{OWN_TIMESTEPS}"
        self._own[key] = (
            self._steps.fork(path) if self._steps is not None else self.clock(key + OWN_TIMESTEPS)
        )
        self._values[key].set_attribute(TIMESTEPS, key + OWN_TIMESTEPS)


def _any_rows(given: dict[str, tuple[NDArray[np.int64] | None, NDArray[Any]]]) -> bool:
    return any(len(values) for _, values in given.values())


def _union(places: list[NDArray[np.int64] | None]) -> NDArray[np.int64] | None:
    arrays = [place for place in places if place is not None]
    if len(arrays) < len(places):
        return None
    return reduce(np.union1d, arrays) if arrays else None


def _same(places: NDArray[np.int64] | None, union: NDArray[np.int64] | None, rows: int, shared: int) -> bool:
    if rows != shared:
        return False
    # Equal lengths suffice: a key's rows are a subset of the union.
    return places is None or union is None or len(places) == len(union)
