"""Spikes against themselves: run lengths against rows, anchors against run lengths, totals."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import ENCODING, SPIKES_EVENTS, SPIKES_INTERVALS, TIMESTEPS
from recorder.format.spikes import SILENCE
from recorder.h5.verify.finding import Finding

ITEMS = 1 << 21
"""Intervals read at a time."""


def check_spikes(group: h5py.Group, total: int | None) -> Iterator[Finding]:
    """Either encoding of a finished episode."""
    if group.attrs.get(ENCODING) == SPIKES_INTERVALS:
        yield from _check_intervals(group, total)
    elif group.attrs.get(ENCODING) == SPIKES_EVENTS:
        yield from _check_events(group, total)


def _check_intervals(group: h5py.Group, total: int | None) -> Iterator[Finding]:
    intervals = group["intervals"]
    neurons, rows = int(group.attrs["n_neurons"]), len(group[TIMESTEPS])
    anchors: NDArray[np.int64] = group["anchors"][:] if "anchors" in group else np.empty((0, 3), np.int64)
    step = int(group.attrs.get("anchor_rows", 0))
    wrong = np.flatnonzero(anchors[:, 0] != np.arange(len(anchors)) * step)
    if len(wrong):
        yield Finding(f"{group.name}/anchors", f"anchor {wrong[0]} does not stand at row {wrong[0] * step}")

    cells = spikes = 0
    for start in range(0, max(1, len(intervals)), ITEMS):
        gaps = intervals[start : start + ITEMS]
        fires = gaps != SILENCE
        covered = np.concatenate(([0], np.cumsum(gaps.astype(np.int64) + fires))) + cells
        mine = np.flatnonzero((anchors[:, 1] >= start) & (anchors[:, 1] <= start + len(gaps)))
        off = mine[covered[anchors[mine, 1] - start] != anchors[mine, 2]]
        if len(off):
            yield Finding(f"{group.name}/anchors", f"anchor {off[0]} does not agree with the intervals")
        cells, spikes = int(covered[-1]), spikes + int(np.count_nonzero(fires))
    if len(anchors) and int(anchors[:, 1].max()) > len(intervals):
        yield Finding(f"{group.name}/anchors", "an anchor points behind the last interval")

    if cells > rows * neurons:
        yield Finding(intervals.name, f"covers {cells} cells, {rows} rows of {neurons} have {rows * neurons}")
    if total is not None and spikes != total:
        yield Finding(intervals.name, f"holds {spikes} spikes, the episode says {total}")
    if "values" in group and len(group["values"]) != spikes:
        yield Finding(f"{group.name}/values", f"has {len(group['values'])} values for {spikes} spikes")


def _check_events(group: h5py.Group, total: int | None) -> Iterator[Finding]:
    count = len(group["values"])
    for name in (TIMESTEPS, "amplitudes"):
        if name in group and len(group[name]) != count:
            yield Finding(f"{group.name}/{name}", f"has {len(group[name])} entries for {count} spikes")
    if total is not None and count != total:
        yield Finding(group.name, f"holds {count} spikes, the episode says {total}")
    neurons = group.attrs.get("n_neurons")
    values = group["values"][:]
    if neurons is not None and count and (values.min() < 0 or values.max() >= neurons):
        yield Finding(f"{group.name}/values", f"names a neuron outside the {neurons}")
    if "row_ends" in group:
        ends = group["row_ends"][:]
        if len(ends) != len(group["rows"]):
            yield Finding(group.name, f"has {len(group['rows'])} rows and {len(ends)} row ends")
        if len(ends) and (np.any(np.diff(ends, prepend=0) < 0) or ends[-1] != count):
            yield Finding(f"{group.name}/row_ends", f"does not lead up to the {count} spikes")
