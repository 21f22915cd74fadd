"""Spikes as silent intervals: the raster, read row by row, as run lengths between spikes.

One uint32 a spike, whatever the number of neurons; Bernoulli spikes deflate to within a few percent
of the Shannon bound, because the gaps of a Bernoulli process are geometric and independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format import native

SILENCE = 2**32 - 1
"""This interval is that many silent cells and no spike."""

_ANCHOR_ROWS = 4096
_ANCHOR_CELLS = 1 << 22


def anchor_rows(n_neurons: int) -> int:
    """Rows between anchors: few enough that a slice decodes little, many enough to cost nothing."""
    return max(1, min(_ANCHOR_ROWS, _ANCHOR_CELLS // n_neurons))


@dataclass(slots=True)
class IntervalEncoder:
    """Turns rasters, fed in order, into intervals and anchors; its fields are its whole state."""

    n_neurons: int
    anchor_rows: int
    rows: int = 0
    covered: int = 0
    """Cells that the intervals so far cover: one past the last spike."""
    items: int = 0

    def feed(self, cells: NDArray[np.int64], rows: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The next ``rows`` rows.

        Parameters
        ----------
        cells : int64 array, shape (spikes,)
            Places of the spikes, ``row * n_neurons + neuron`` within these rows, ascending.

        Returns
        -------
        intervals : uint32 array, shape (items,)
        anchors : int64 array, shape (k, 3)
            (row, item, cell) for the anchor rows among these rows.
        """
        base = self.rows * self.n_neurons
        gaps = cells - 1
        gaps[1:] -= cells[:-1]
        gaps[:1] -= self.covered - base - 1
        first_item, covered = self.items, self.covered
        extra: NDArray[np.int64] | None = None
        if len(gaps) and int(gaps.max()) >= SILENCE:
            fill = gaps // SILENCE
            extra = np.cumsum(fill)
            places = np.arange(len(gaps)) + extra
            spread = np.full(len(gaps) + int(extra[-1]), SILENCE, np.uint32)
            spread[places] = gaps - fill * SILENCE
            intervals = spread
        else:
            intervals = gaps.astype(np.uint32)
        anchors = self._anchors(cells, rows, base, first_item, covered, extra)
        self.rows += rows
        self.items += len(intervals)
        if len(cells):
            self.covered = base + int(cells[-1]) + 1
        return intervals, anchors

    def _anchors(
        self,
        cells: NDArray[np.int64],
        rows: int,
        base: int,
        first_item: int,
        covered: int,
        extra: NDArray[np.int64] | None,
    ) -> NDArray[np.int64]:
        step = self.anchor_rows
        first = -(-self.rows // step) * step
        wanted = np.arange(first, self.rows + rows, step, dtype=np.int64)
        if not len(wanted):
            return np.empty((0, 3), np.int64)
        before = np.searchsorted(cells, (wanted - self.rows) * self.n_neurons)
        if len(cells):
            last = np.maximum(before - 1, 0)
            more = 0 if extra is None else np.where(before > 0, extra[last], 0)
            items = first_item + before + more
            cell = np.where(before > 0, base + cells[last] + 1, covered)
        else:
            items, cell = np.full(len(wanted), first_item), np.full(len(wanted), covered)
        return np.stack([wanted, items, cell], axis=1).astype(np.int64)


def decode_cells(intervals: NDArray[np.uint32], start: int = 0) -> NDArray[np.int64]:
    """Places of the spikes, ``row * n_neurons + neuron``, ascending.

    Parameters
    ----------
    intervals : uint32 array
        Intervals in order, from the episode's first or from an anchor's item.
    start : int
        Cells covered before the first of them: 0, or the anchor's cell.
    """
    ends: NDArray[np.int64] = intervals.astype(np.int64)
    if not len(ends) or intervals.max() != SILENCE:
        # Each spike takes a cell of its own: without silence alone, one pass adds them all.
        ends += 1
        ends[:1] += start - 1
        np.cumsum(ends, out=ends)
        return ends
    spike = np.asarray(intervals != SILENCE)
    ends += spike
    np.cumsum(ends, out=ends)
    ends += start - 1
    return np.asarray(ends[spike])


def raster_cells(raster: NDArray[Any]) -> NDArray[np.int64]:
    """Places of the spikes in a C-contiguous ``(rows, neurons)`` raster.

    A spike is an entry with any bit set: −0.0 is one, because its value must come back.
    """
    entries: NDArray[Any] = raster.reshape(-1)
    if entries.dtype.kind in "fc":
        width = entries.dtype.itemsize
        words = entries.view({2: np.uint16, 4: np.uint32}.get(width, np.uint64))
        entries = words if width <= 8 else np.asarray(words.reshape(-1, 2).any(axis=1))
    if native.MODULE is not None and entries.dtype.itemsize == 1:
        return np.asarray(native.MODULE.cells(np.ascontiguousarray(entries)), np.int64)
    return np.flatnonzero(entries).astype(np.int64, copy=False)
