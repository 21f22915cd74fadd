"""Rows waiting to become a batch, as a knowledgeable user would keep them.

Scalars go into preallocated arrays through memoryviews, a third of the cost of NumPy's own item assignment;
spikes are copied by ``tobytes`` and joined once a batch, which is cheaper than assigning rows. Ragged spikes
are computed a batch at a time: one ``flatnonzero`` for thousands of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from peer.protocol import Array
from peer.work import Work


@dataclass
class Batch:
    """Consecutive steps as columns: views that hold until the next batch begins."""

    work: Work
    episode: Array
    t: Array
    x: Array
    y: Array
    reward: Array
    v_row: Array
    """The batch's rows that ``v`` was kept of."""
    v: Array
    spikes: list[bytes]

    def __len__(self) -> int:
        return len(self.t)

    def ragged(self) -> tuple[Array, Array]:
        """Spikes of each step, and the neurons that spiked, step after step."""
        dtype, width = self.work.neuron_dtype, self.work.neurons
        joined = b"".join(self.spikes)
        if self.work.spikes_as == "indices":
            counts = np.array([len(step) // 8 for step in self.spikes], dtype)
            return counts, np.frombuffer(joined, np.int64).astype(dtype)
        cells = np.flatnonzero(np.frombuffer(joined, bool))
        steps = cells // width
        counts = np.bincount(steps, minlength=len(self)).astype(dtype)
        return counts, (cells - steps * width).astype(dtype)

    def raster(self) -> Array:
        """Spikes as bool, (steps, neurons)."""
        shape = (len(self), self.work.neurons)
        if self.work.spikes_as == "raster":
            return np.frombuffer(b"".join(self.spikes), bool).reshape(shape)
        dense = np.zeros(shape, bool)
        for row, step in zip(dense, self.spikes, strict=True):
            row[np.frombuffer(step, np.int64)] = True
        return dense


class Buffer:
    """Collects ``rows`` steps, then hands them to ``write`` as a batch."""

    def __init__(self, work: Work, rows: int, write: Callable[[Batch], None]) -> None:
        self._work, self._rows, self._write = work, rows, write
        self._sampling = work.sampling
        self._columns = {name: np.empty(rows) for name in ("x", "y", "reward")}
        self._columns["t"] = np.empty(rows, np.int64)
        views = {name: memoryview(column) for name, column in self._columns.items()}
        self._t, self._x, self._y, self._reward = (views[name] for name in ("t", "x", "y", "reward"))
        self._v = np.empty((rows // work.sampling + 2, work.neurons), work.dtype)
        self._v_row: list[int] = []
        self._spikes: list[bytes] = []
        self._i = 0
        self._episode = -1
        self._starts: list[tuple[int, int]] = []

    def start_episode(self) -> None:
        """What follows belongs to the next episode; a batch may hold the rows of several."""
        self._episode += 1
        self._starts.append((self._i, self._episode))

    def log(self, t: int, v: Array, spikes: Array, x: float, y: float, reward: float) -> None:
        """One step."""
        i = self._i
        self._t[i] = t
        self._x[i] = x
        self._y[i] = y
        self._reward[i] = reward
        self._spikes.append(spikes.tobytes())
        if not t % self._sampling:
            # short episodes keep more rows than one in so many
            if len(self._v_row) == len(self._v):
                self._v = np.concatenate([self._v, np.empty_like(self._v)])
            self._v[len(self._v_row)] = v
            self._v_row.append(i)
        self._i = i + 1
        if self._i == self._rows:
            self.flush()

    def flush(self) -> None:
        """Hand over what is there."""
        rows = self._i
        if not rows:
            return
        begins = [start for start, _ in self._starts]
        lengths = np.diff([*begins, rows])
        episode = np.repeat(np.array([number for _, number in self._starts], np.int32), lengths)
        columns = {name: column[:rows] for name, column in self._columns.items()}
        kept = len(self._v_row)
        v_row = np.array(self._v_row, np.int64)
        self._write(Batch(self._work, episode, v_row=v_row, v=self._v[:kept], spikes=self._spikes, **columns))
        self._v_row, self._spikes, self._i = [], [], 0
        self._starts = [(0, self._episode)]
