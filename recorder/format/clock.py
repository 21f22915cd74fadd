"""A stream's clock: the timestep of each of its rows, small in memory when the steps are even."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recorder.format.bounds import BEYOND, half_open

Rows = slice | NDArray[np.intp]
"""Some rows of a stream: a slice where they are neighbours, else their numbers in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """The timesteps of ``count`` rows: ``first + step * row``, or the array ``uneven``.

    Almost every run logs each step or each n-th, so a clock of a billion rows is three numbers.
    """

    first: int = 0
    step: int = 1
    count: int = 0
    uneven: NDArray[np.int64] | None = None
    ascending: bool = True

    @classmethod
    def of(cls, blocks: Iterable[NDArray[np.int64]]) -> Clock:
        """The clock of timesteps that come in blocks, int64 ``(rows,)`` each, in order."""
        head = cls()
        rest: list[NDArray[np.int64]] = []
        for block in blocks:
            longer = None if rest else head._extended(block)
            if longer is None:
                rest.append(block)
            else:
                head = longer
        if not rest:
            return head
        steps = np.concatenate([head.values(), *rest])
        return cls(count=len(steps), uneven=steps, ascending=bool((steps[1:] >= steps[:-1]).all()))

    def _extended(self, block: NDArray[np.int64]) -> Clock | None:
        part = Clock.even(block)
        return None if part is None else self.joined(part)

    @classmethod
    def even(cls, block: NDArray[np.int64]) -> Clock | None:
        """The clock of timesteps int64 ``(rows,)`` that rise by the same step; None of others."""
        if len(block) < 2:
            return cls(int(block[0]), 1, 1) if len(block) else cls()
        low = int(block[0])
        # In Python's integers: int64 differences of hostile timesteps wrap around.
        step = int(block[1]) - low
        even = step > 0 and int(block[-1]) == low + step * (len(block) - 1)
        return cls(low, step, len(block)) if even and (np.diff(block) == step).all() else None

    def joined(self, after: Clock) -> Clock | None:
        """This even clock and then another one; None where both together are not even."""
        if not self.count or not after.count:
            return after if after.count else self
        step = after.first - self.first if self.count == 1 else self.step
        even = 0 < step < 2**63 and after.first == self.first + step * self.count
        if not even or (after.count > 1 and after.step != step):
            return None
        return Clock(self.first, step, self.count + after.count)

    def __len__(self) -> int:
        return self.count

    def values(self, rows: Rows | None = None) -> NDArray[np.int64]:
        """Timesteps of these rows (all of them when None), int64, a fresh array."""
        if self.uneven is not None:
            return self.uneven.copy() if rows is None else np.array(self.uneven[rows])
        if rows is None:
            rows = slice(0, self.count)
        if isinstance(rows, slice):
            low, high, stride = rows.indices(self.count)
            begin, end = (self.first + self.step * row for row in (low, high))
            if end < 2**63:
                return np.arange(begin, end, self.step * stride, dtype=np.int64)
            rows = np.arange(low, high, stride, dtype=np.int64)
        return np.asarray(rows, np.int64) * np.int64(self.step) + np.int64(self.first)

    def put_values(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """As :meth:`values`, of an array ``(rows,)`` that is overwritten where that saves another one."""
        if self.uneven is not None:
            return self.values(rows.astype(np.intp, copy=False))
        if self.step != 1:
            rows *= self.step
        if self.first:
            rows += self.first
        return rows

    def span(self) -> tuple[int, int]:
        """``(start, stop)`` of all timesteps; ``(0, 0)`` of none."""
        if not self.count:
            return 0, 0
        ends = self.values(np.array([0, self.count - 1], np.intp)) if self.ascending else self.values()
        return int(ends.min()), int(ends.max()) + 1

    def rows(self, start: float | None = None, stop: float | None = None) -> Rows:
        """Rows whose timestep is in ``start <= timestep < stop``; None leaves a side open.

        Raises
        ------
        TimestepError
            A bound is no real number.
        """
        start, stop = half_open(start, stop)
        if start is None and stop is None:
            return slice(0, self.count)
        if self.uneven is None or self.ascending:
            low = 0 if start is None else self._row_from(start)
            high = self.count if stop is None else self._row_from(stop)
            return slice(low, max(low, high))
        inside = np.ones(self.count, np.bool_)
        if start is not None:
            inside &= self.uneven >= start
        if stop is not None:
            inside &= self.uneven < stop
        return np.flatnonzero(inside)

    def _row_from(self, timestep: int) -> int:
        if self.uneven is None:
            return min(max(-((self.first - timestep) // self.step), 0), self.count)
        return self.count if timestep == BEYOND else int(np.searchsorted(self.uneven, timestep))


def _nothing(start: int, stop: int) -> NDArray[np.int64]:
    return np.empty(stop - start, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class StoredClock(Clock):
    """A clock that never falls and stays where it is stored: what is asked of it is read there.

    Attributes
    ----------
    read : callable
        Returns the timesteps of rows ``start`` to ``stop``, int64, a fresh array.
    chunk : int
        Rows that are read as easily as one of them.
    """

    read: Callable[[int, int], NDArray[np.int64]] = _nothing
    chunk: int = 1

    def values(self, rows: Rows | None = None) -> NDArray[np.int64]:
        """As :meth:`Clock.values`."""
        if rows is None:
            return self.read(0, self.count)
        if isinstance(rows, slice):
            low, high, stride = rows.indices(self.count)
            return self.read(low, max(low, high))[::stride]
        first, last = row_span(rows)
        return self.read(first, last)[rows - first]

    def put_values(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """As :meth:`Clock.put_values`."""
        return self.values(rows.astype(np.intp, copy=False))

    def span(self) -> tuple[int, int]:
        """As :meth:`Clock.span`."""
        if not self.count:
            return 0, 0
        return int(self.read(0, 1)[0]), int(self.read(self.count - 1, self.count)[0]) + 1

    def rows(self, start: float | None = None, stop: float | None = None) -> slice:
        """As :meth:`Clock.rows`; reads some chunks, more by one for twice as many rows."""
        start, stop = half_open(start, stop)
        low = 0 if start is None else self._row_from(start)
        high = self.count if stop is None else self._row_from(stop)
        return slice(low, max(low, high))

    def _row_from(self, timestep: int) -> int:
        # The first chunk whose last timestep is not before this one.
        low, high = 0, -(-self.count // self.chunk)
        while low < high:
            middle = (low + high) // 2
            if int(self._chunk(middle)[-1]) < timestep:
                low = middle + 1
            else:
                high = middle
        first = low * self.chunk
        return self.count if first >= self.count else first + int(np.searchsorted(self._chunk(low), timestep))

    def _chunk(self, number: int) -> NDArray[np.int64]:
        return self.read(number * self.chunk, min((number + 1) * self.chunk, self.count))


def row_span(rows: Rows) -> tuple[int, int]:
    """The first of these rows and one past the last; ``(0, 0)`` when there are none."""
    if isinstance(rows, slice):
        return int(rows.start), int(rows.stop)
    return (int(rows.min()), int(rows.max()) + 1) if len(rows) else (0, 0)
