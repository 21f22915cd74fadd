"""Spikes: rows of the ring as intervals, anchors, timesteps and the values of graded spikes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import ENCODING, SPIKES, SPIKES_INTERVALS
from recorder.format.spikes import SILENCE, IntervalEncoder, anchor_rows, raster_cells
from recorder.h5.chunking import Chunking
from recorder.h5.streams.column import ITEM_CHUNK, Column
from recorder.h5.streams.part import Part
from recorder.h5.streams.rows import END, MAIN, Rows

ANCHOR_CHUNK = 512


class SpikePart(Part):
    """Rasters and index lists alike become intervals; see ``format/spikes.py``."""

    group = SPIKES

    def __init__(self, chunking: Chunking) -> None:
        super().__init__(chunking)
        self._encoder: IntervalEncoder | None = None
        self._dtype = ""
        self.spikes = 0

    def feed(self, rows: Rows) -> None:
        """Take a record's spikes."""
        if SPIKES not in rows.streams:
            return
        steps, cells, values = cells_of(rows)
        if not len(steps):
            return
        if self._encoder is None:
            self._begin(rows.streams[SPIKES], values)
        assert self._encoder is not None
        intervals, anchors = self._encoder.feed(cells, len(steps))
        self._columns["timesteps"].push(steps)
        self._columns["intervals"].push(intervals)
        self._columns["anchors"].push(anchors)
        if values is not None:
            self._columns["values"].push(values)
        self.spikes += len(cells)

    def attributes(self) -> dict[str, Any]:
        """Encoding, neuron count, logged dtype, rows between anchors."""
        if self._encoder is None:
            return {}
        return {
            ENCODING: SPIKES_INTERVALS,
            "n_neurons": self._encoder.n_neurons,
            "dtype": self._dtype,
            "anchor_rows": self._encoder.anchor_rows,
        }

    def totals(self) -> dict[str, Any]:
        """Number of spikes."""
        return {"total_spikes": self.spikes} if self._encoder else {}

    def rows(self) -> dict[str, int]:
        """Rows, silent ones included."""
        return {SPIKES: self._encoder.rows} if self._encoder else {}

    def whole(self) -> dict[str, int]:
        """Rows of which no spike waits."""
        if self._encoder is None:
            return {}
        steps, waiting = self._columns["timesteps"], self._columns["intervals"].waiting_rows()
        cells = int(waiting.sum(dtype=np.int64)) + int((waiting != SILENCE).sum())
        rows = (self._encoder.covered - cells) // self._encoder.n_neurons if len(waiting) else steps.rows
        return {SPIKES: min(steps.committed, rows)}

    def state(self) -> dict[str, Any]:
        """Encoder, dtype and count."""
        return {
            "encoder": asdict(self._encoder) if self._encoder else None,
            "dtype": self._dtype,
            "spikes": self.spikes,
            **super().state(),
        }

    def restore(self, state: dict[str, Any], columns: dict[str, Column]) -> None:
        """Become what :meth:`state` described."""
        self._encoder = IntervalEncoder(**state["encoder"]) if state["encoder"] else None
        self._dtype, self.spikes = state["dtype"], state["spikes"]
        super().restore(state, columns)

    def _begin(self, place: dict[str, Any], values: NDArray[Any] | None) -> None:
        count = place["n_neurons"]
        self._encoder = IntervalEncoder(count, anchor_rows(count))
        self._dtype = place["dtype"]
        self._columns = {
            "timesteps": self.clock(),
            "intervals": self.column("intervals", np.uint32, items=ITEM_CHUNK),
            "anchors": self.column("anchors", np.int64, (3,), items=ANCHOR_CHUNK),
        }
        if values is not None:
            self._columns["values"] = self.column("values", values.dtype, items=ITEM_CHUNK)


def cells_of(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any] | None]:
    """Timesteps of a record's rows, the cells of its raster that fired, and the values of graded spikes."""
    place = rows.streams[SPIKES]
    if place["dtype"] == "indices":
        return (*_index_cells(rows, place["n_neurons"]), None)
    places, raster = rows.column(SPIKES)
    cells = raster_cells(raster)
    values = None if raster.dtype.kind == "b" else raster.reshape(-1)[cells]
    return rows.timesteps_of(places), cells, values


def _index_cells(rows: Rows, n_neurons: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    place = rows.streams[SPIKES]
    view = rows.view(place["table"])
    assert view is not None
    if place["table"] == MAIN:
        steps, count = rows.timesteps, rows.count
        ends = view.columns[place["field"]][place["item"]][:count]
    else:
        count = rows.table(place["table"])
        steps, ends = rows.timesteps_of(view.columns["need"][:count] - 1), view.columns[END][:count]
    used = int(ends[-1]) if count else 0
    heap = rows.view(place["heap"])
    assert heap is not None
    ids = heap.heap.view(np.int64)[:used]
    lengths = np.diff(ends, prepend=0)
    return steps, np.repeat(np.arange(count, dtype=np.int64) * n_neurons, lengths) + ids
