"""The last rows that were given, as copies in arrays that are made once."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import StreamType, admit, admit_key, admit_real, admit_timestep, learn
from recorder.errors import StreamTypeError
from recorder.format.layout import BEHAVIOR, NEURAL, REWARDS, SPIKES
from recorder.options import RecordingOptions
from recorder.sideband import admit_side
from recorder.spike_input import (
    INDICES,
    SpikeIndices,
    SpikeType,
    admit_spikes,
    is_empty,
    learn_spikes,
)

_ARGUMENTS = {NEURAL: "neural_state", BEHAVIOR: "behavior"}
_REWARD = StreamType(REWARDS, np.dtype(np.float64), ())
_PYTHON = {np.dtype(float): float, np.dtype(bool): bool}


@dataclass(eq=False, slots=True)
class Column:
    """One stream's values, ``(rows, *shape)``; of spikes that are indices, a bit a neuron."""

    group: str
    key: str
    kind: StreamType | SpikeType
    data: NDArray[Any]
    python: type | None
    """Of scalars that need no closer look."""
    indices: bool = False

    @classmethod
    def of(cls, group: str, key: str, kind: StreamType | SpikeType, rows: int) -> Column:
        """An empty one."""
        if isinstance(kind, SpikeType):
            indices = kind.form == INDICES
            data = np.zeros((rows, kind.n_neurons), bool if indices else kind.dtype)
            return cls(group, key, kind, data, None, indices)
        scalar = _PYTHON.get(kind.dtype) if kind.shape == () else None
        return cls(group, key, kind, np.zeros((rows, *kind.shape), kind.dtype), scalar)


class KeptRows:
    """A ring of ``rows`` calls of ``log()``; a further one replaces the oldest.

    Values are admitted as a recording admits them, by the same types with the same errors. Arrays are made
    when a stream is first seen and used again from then on, in later episodes too.
    """

    def __init__(self, options: RecordingOptions, rows: int) -> None:
        self._options, self._rows = options, rows
        self._steps = np.zeros(rows, np.int64)
        self._present: list[tuple[Column, ...]] = [()] * rows
        self._more: list[dict[str, Any] | None] = [None] * rows
        self._columns: dict[str, Column] = {}
        self._earlier: dict[str, Column] = {}
        self._first = self.count = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        columns = {id(c): c for c in (*self._earlier.values(), *self._columns.values())}
        return int(self._steps.nbytes + sum(c.data.nbytes for c in columns.values()))

    def forget(self) -> None:
        """Let all rows go, and the types of their streams: an episode begins."""
        self._earlier |= self._columns
        self._columns, self._first, self.count = {}, 0, 0
        self._more = [None] * self._rows

    def keep(
        self,
        timestep: Any,
        neural_state: Any,
        spikes: Any,
        behavior: Any,
        reward: Any,
        more: dict[str, Any],
        n_neurons: int | None,
    ) -> int:
        """Copy a row; returns its timestep.

        Raises
        ------
        InputError
            What ``log()`` refuses; the row is not kept, and all others are as they were.
        """
        step = admit_timestep(timestep)
        if more:
            admit_side(step, more)
            more = copy.deepcopy(more)
        known = len(self._columns)
        try:
            values = self._admitted(step, neural_state, spikes, behavior, reward, n_neurons)
        except BaseException:
            while len(self._columns) > known:
                self._columns.popitem()  # the newest: a row that is refused fixes no types
            raise
        if self.count == self._rows:
            self._first, self.count = (self._first + 1) % self._rows, self.count - 1
        place = (self._first + self.count) % self._rows
        for column, value in values:
            if column.indices:
                column.data[place] = False
                column.data[place, value] = True
            else:
                column.data[place] = value
        self._steps[place], self._more[place] = step, more or None
        self._present[place] = tuple(column for column, _ in values)
        self.count += 1
        return step

    def first_step(self) -> int:
        """Timestep of the oldest row."""
        return int(self._steps[self._first])

    def oldest(self) -> dict[str, Any]:
        """The oldest row as arguments of ``log()``; arrays are those of the ring."""
        place = self._first
        row: dict[str, Any] = {"timestep": int(self._steps[place]), **(self._more[place] or {})}
        for column in self._present[place]:
            value: Any = column.data[place]
            if column.group in _ARGUMENTS:
                row.setdefault(_ARGUMENTS[column.group], {})[column.key] = value
            elif column.group == REWARDS:
                row["reward"] = float(value)
            elif column.indices:
                row["spikes"] = SpikeIndices(np.flatnonzero(value), n_neurons=len(value))
            else:
                row["spikes"] = value
        return row

    def pop(self) -> None:
        """Let the oldest row go."""
        self._more[self._first] = None
        self._first, self.count = (self._first + 1) % self._rows, self.count - 1

    def _admitted(
        self, step: int, neural_state: Any, spikes: Any, behavior: Any, reward: Any, n_neurons: int | None
    ) -> list[tuple[Column, Any]]:
        values: list[tuple[Column, Any]] = []
        for group, mapping in ((NEURAL, neural_state), (BEHAVIOR, behavior)):
            if mapping is not None:
                self._values(step, group, mapping, values)
        if reward is not None:
            values.append((self._column(REWARDS, "", _REWARD), admit_real(REWARDS, step, reward)))
        if spikes is not None:
            self._spikes(step, spikes, n_neurons, values)
        return values

    def _values(self, step: int, group: str, mapping: Any, values: list[tuple[Column, Any]]) -> None:
        if type(mapping) is not dict and not isinstance(mapping, Mapping):
            got = type(mapping).__name__
            raise StreamTypeError(group, f"{_ARGUMENTS[group]} as a dict", got, step=step)
        for key, value in mapping.items():
            name = f"{group}/{key}"
            column = self._columns.get(name)
            if column is None:
                admit_key(group, key)
                kind, array = learn(name, step, value, inexact=name in self._options.precisions)
                values.append((self._column(group, key, kind), array))
            elif type(value) is column.python or _is_plainly(column, value):
                values.append((column, value))
            else:
                assert isinstance(column.kind, StreamType)
                values.append((column, admit(column.kind, step, value)))

    def _spikes(
        self, step: int, spikes: Any, n_neurons: int | None, values: list[tuple[Column, Any]]
    ) -> None:
        column, form = self._columns.get(SPIKES), self._options.spike_format
        if column is not None and not column.indices and _is_plainly(column, spikes):
            values.append((column, spikes))
            return
        indices = form == INDICES if column is None else column.indices
        if not indices and is_empty(spikes):
            return
        if column is None:
            kind, array = learn_spikes(step, spikes, n_neurons=n_neurons, spike_format=form)
            values.append((self._column(SPIKES, "", kind), array))
        else:
            assert isinstance(column.kind, SpikeType)
            values.append((column, admit_spikes(column.kind, step, spikes)))

    def _column(self, group: str, key: str, kind: StreamType | SpikeType) -> Column:
        name = f"{group}/{key}" if key else group
        column = self._columns.get(name)
        if column is None:
            column = self._earlier.get(name)
            if column is None or column.kind != kind:
                column = Column.of(group, key, kind, self._rows)
            self._columns[name] = column
        return column


def _is_plainly(column: Column, value: Any) -> bool:
    return (
        type(value) is np.ndarray
        and value.dtype == column.data.dtype
        and value.shape == column.data.shape[1:]
    )
