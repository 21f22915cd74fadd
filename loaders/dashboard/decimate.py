"""Many rows as few that look the same: extremes of each bin, means, and counts."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loaders.dashboard.grid import Grid

Floats = NDArray[np.float64]


class Band(NamedTuple):
    """Values of a quantity by bin: float64 ``(bins,)`` each, NaN where it has none; ``counts`` are rows."""

    mean: Floats
    low: Floats
    high: Floats
    counts: NDArray[np.int64]


def extremes(timesteps: NDArray[np.int64], values: Floats, grid: Grid) -> tuple[Floats, Floats]:
    """A polyline through the smallest and the largest value of each bin, of every column for itself.

    No peak is lost, whatever the width of the plot. What is not finite is left out.

    Parameters
    ----------
    timesteps : int64 (rows,)
    values : float64 (rows, columns)

    Returns
    -------
    (points,), (points, columns)
        The rows themselves where they are no more than two a bin; else two points for each bin that has
        any, at its first and its last row.
    """
    if len(timesteps) and (np.diff(timesteps) < 0).any():
        order = np.argsort(timesteps, kind="stable")
        timesteps, values = timesteps[order], values[order]
    values = np.where(np.isfinite(values), values, np.nan)
    if len(timesteps) <= 2 * grid.bins:
        return timesteps.astype(np.float64), values
    starts = np.flatnonzero(np.diff(grid.bin_of(timesteps), prepend=-1))
    ends = np.append(starts[1:], len(timesteps)) - 1
    x = np.stack([timesteps[starts], timesteps[ends]], axis=1).reshape(-1).astype(np.float64)
    low, high = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    return x, np.stack([low, high], axis=1).reshape(-1, values.shape[1])


def band(timesteps: NDArray[np.int64], values: Floats, grid: Grid) -> Band:
    """Mean, smallest and largest of a value a row, ``(rows,)``, by bin; what is not finite is left out."""
    kept = np.isfinite(values)
    values, bins = values[kept], grid.bin_of(timesteps[kept])
    counts = np.bincount(bins, minlength=grid.bins)
    low, high = np.full(grid.bins, np.inf), np.full(grid.bins, -np.inf)
    np.minimum.at(low, bins, values)
    np.maximum.at(high, bins, values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # 0 / 0 is the NaN that is wanted
        mean = np.bincount(bins, values, grid.bins) / counts
    low[counts == 0] = high[counts == 0] = np.nan
    return Band(mean, low, high, counts)


class SpikeCounts:
    """How often neurons fire, by bin and by groups of neighbouring neurons, of spikes that come in parts.

    Parameters
    ----------
    groups : int
        At most so many.
    """

    def __init__(self, grid: Grid, n_neurons: int, groups: int) -> None:
        self._grid, self._neurons, self._groups = grid, n_neurons, min(groups, n_neurons)
        self._cells = np.zeros(self._groups * grid.bins, np.int64)
        self._rows = np.zeros(grid.bins, np.int64)
        self.spikes = 0

    def add(
        self, timesteps: NDArray[np.int64], neurons: NDArray[np.int64], row_timesteps: NDArray[np.int64]
    ) -> None:
        """Spikes ``(spikes,)`` of some rows ``(rows,)``, silent ones included."""
        group = neurons * self._groups // self._neurons
        cells = group * self._grid.bins + self._grid.bin_of(timesteps)
        self._cells += np.bincount(cells, minlength=len(self._cells))
        self._rows += np.bincount(self._grid.bin_of(row_timesteps), minlength=self._grid.bins)
        self.spikes += len(timesteps)

    def rate(self) -> Floats:
        """The share of neurons that fire in a step, by bin ``(bins,)``; NaN where nothing was logged."""
        spikes = self._cells.reshape(self._groups, -1).sum(axis=0)
        return _shares(spikes, self._rows * float(self._neurons))

    def image(self) -> NDArray[np.float32]:
        """The same of each group, ``(groups, bins)``."""
        width = np.bincount(np.arange(self._neurons) * self._groups // self._neurons)
        chances = width[:, None] * self._rows.astype(np.float64)
        return _shares(self._cells.reshape(self._groups, -1), chances).astype(np.float32)


def _shares(counts: NDArray[np.int64], chances: NDArray[Any]) -> Floats:
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, chances, out=shares, where=chances > 0)
    return shares
