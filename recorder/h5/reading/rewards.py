"""Rewards of a range of rows, from runs or from plain values."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.clock import Clock
from recorder.format.layout import ENCODING, REWARDS, REWARDS_RUNS, REWARDS_VALUES
from recorder.h5.reading.episode import StoredEpisode

_STEPS, _VALUES, _LENGTHS = f"{REWARDS}/timesteps", f"{REWARDS}/values", f"{REWARDS}/lengths"


class RewardRows(Protocol):
    """Rewards by logged row, whatever the encoding."""

    def clock(self) -> Clock:
        """Timesteps of all rows whose reward is known."""
        ...

    def runs(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Values and lengths (int64) of runs of equal bits that cover all rows of the clock."""
        ...

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Rewards of rows ``first`` to ``last``."""
        ...


class RunRewards:
    """``format = "runs"``: a value and how many rows it lasted."""

    def __init__(self, stored: StoredEpisode) -> None:
        self.stored = stored

    def clock(self) -> Clock:
        """Timesteps of the rows; in a running episode of those that the runs cover."""
        whole = self.stored.clock(_STEPS)
        rows = len(whole)
        covered = int(self._stored_runs()[1].sum())
        if covered != rows and not self.stored.running:
            raise DamagedError(f"{self.stored.name}/{REWARDS}: runs of {covered} rows for {rows} timesteps")
        return whole if covered >= rows else Clock.of([whole.values(slice(0, covered))])

    def runs(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Values float64 and lengths int64, ``(runs,)`` each."""
        return self._cut(0, len(self.clock()))

    def read(self, first: int, last: int) -> NDArray[np.float64]:
        """Rewards float64 ``(last - first,)``."""
        # The clock has made sure that the lengths sum to no more than the rows there are.
        values, lengths = self._cut(first, last)
        return np.repeat(values, lengths)

    def _stored_runs(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        runs = min(self.stored.rows(_VALUES), self.stored.rows(_LENGTHS))
        if runs < max(self.stored.rows(_VALUES), self.stored.rows(_LENGTHS)) and not self.stored.running:
            raise DamagedError(f"{self.stored.name}/{REWARDS}: values and lengths differ in number")
        kept = self.stored.cache.get("runs")
        if kept is None or len(kept[0]) != runs:
            kept = self.stored.read(_VALUES, 0, runs), self.stored.read(_LENGTHS, 0, runs).astype(np.int64)
            self.stored.cache["runs"] = kept
        values, lengths = kept
        return values, lengths

    def _cut(self, first: int, last: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        values, lengths = self._stored_runs()
        ends = self.stored.cache.get("run ends")
        if ends is None or len(ends) != len(lengths):
            ends = self.stored.cache["run ends"] = np.cumsum(lengths)
        low, high = int(np.searchsorted(ends, first, side="right")), int(np.searchsorted(ends, last))
        high = min(high + 1, len(values)) if last > first else low
        kept = np.minimum(ends[low:high], last) - np.maximum(ends[low:high] - lengths[low:high], first)
        return values[low:high], kept


class PlainRewards:
    """``format = "values"``: one value a row; what the original system's files become, too."""

    def __init__(self, clock: Clock, values: NDArray[Any]) -> None:
        self._clock, self._values = clock, values

    def clock(self) -> Clock:
        """Timesteps of the rows."""
        return self._clock

    def runs(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Runs of equal bits, as the other encoding stores them."""
        values = np.ascontiguousarray(self._values)
        bits = values.view(f"u{values.dtype.itemsize}")
        starts = np.flatnonzero(np.concatenate([np.ones(min(1, len(bits)), np.bool_), bits[1:] != bits[:-1]]))
        return values[starts], np.diff(starts, append=len(values)).astype(np.int64)

    def read(self, first: int, last: int) -> NDArray[Any]:
        """Rewards of rows ``first`` to ``last``, a copy."""
        return np.array(self._values[first:last])


def stored_rewards(stored: StoredEpisode) -> RewardRows | None:
    """The episode's rewards by the encoding that its attribute ``format`` names; None without any.

    Raises
    ------
    DamagedError
        An encoding this reader does not know.
    """
    if not stored.keys(REWARDS):
        return None
    encoding = stored.facts(REWARDS).get(ENCODING)
    if encoding == REWARDS_RUNS:
        return RunRewards(stored)
    if encoding == REWARDS_VALUES:
        clock, values = stored.clock(_STEPS), stored.read(_VALUES)
        rows = min(len(clock), len(values))
        if max(len(clock), len(values)) != rows and not stored.running:
            raise DamagedError(f"{stored.name}/{REWARDS}: {len(values)} values for {len(clock)} timesteps")
        if rows < len(clock):
            clock = Clock.of([clock.values(slice(0, rows))])
        return PlainRewards(clock, values[:rows])
    raise DamagedError(f"{stored.name}/{REWARDS}: unknown format {encoding!r}")
