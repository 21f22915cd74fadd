"""Spikes against themselves: run lengths against rows, anchors against run lengths, totals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import ENCODING, SPIKES, SPIKES_EVENTS, SPIKES_INTERVALS, TIMESTEPS
from recorder.format.spikes import SILENCE
from recorder.h5.verify.finding import Finding
from recorder.h5.verify.unit import Unit, leads_up


def check_spikes(unit: Unit, total: int | None) -> Iterator[Finding]:
    """Either encoding of a finished episode."""
    encoding = unit.facts(SPIKES).get(ENCODING)
    neurons = unit.facts(SPIKES).get("n_neurons")
    if encoding not in (SPIKES_INTERVALS, SPIKES_EVENTS):
        yield Finding(f"{unit.path}/{SPIKES}", f"has the unknown format {encoding!r}")
    elif not isinstance(neurons, int) or neurons < 1:
        yield Finding(f"{unit.path}/{SPIKES}", f"n_neurons is {neurons!r}")
    elif encoding == SPIKES_INTERVALS:
        yield from _check_intervals(unit, neurons, total)
    else:
        yield from _check_events(unit, neurons, total)


def _check_intervals(unit: Unit, neurons: int, total: int | None) -> Iterator[Finding]:
    path, name = f"{unit.path}/{SPIKES}", f"{SPIKES}/intervals"
    rows, items = unit.rows(f"{SPIKES}/{TIMESTEPS}"), unit.rows(name)
    if rows is None or items is None:
        yield Finding(path, "has no timesteps or no intervals")
        return
    anchors = np.empty((0, 3), np.int64)
    if unit.sound(f"{SPIKES}/anchors"):
        anchors = unit.read(f"{SPIKES}/anchors").reshape(-1, 3)
    step = unit.facts(SPIKES).get("anchor_rows", 0)
    wrong = np.flatnonzero(anchors[:, 0] != np.arange(len(anchors)) * step)
    if len(wrong):
        yield Finding(f"{path}/anchors", f"anchor {wrong[0]} does not stand at row {wrong[0] * step}")
    if not unit.sound(name):
        return
    cells = spikes = start = 0
    for gaps in unit.blocks(name):
        fires = gaps != SILENCE
        covered = np.concatenate(([0], np.cumsum(gaps.astype(np.int64) + fires))) + cells
        off = _disagreeing(anchors, covered, start, len(gaps))
        if len(off):
            yield Finding(f"{path}/anchors", f"anchor {off[0]} does not agree with the intervals")
        start += len(gaps)
        cells, spikes = int(covered[-1]), spikes + int(np.count_nonzero(fires))
    if len(anchors) and not 0 <= int(anchors[:, 1].min()) <= int(anchors[:, 1].max()) <= items:
        yield Finding(f"{path}/anchors", "an anchor points behind the last interval")

    if cells > rows * neurons:
        yield Finding(
            f"{path}/intervals", f"covers {cells} cells, {rows} rows of {neurons} have {rows * neurons}"
        )
    if total is not None and spikes != total:
        yield Finding(f"{path}/intervals", f"holds {spikes} spikes, the episode says {total}")
    values = unit.rows(f"{SPIKES}/values")
    if values is not None and values != spikes:
        yield Finding(f"{path}/values", f"has {values} values for {spikes} spikes")


def _disagreeing(
    anchors: NDArray[np.int64], covered: NDArray[np.int64], start: int, count: int
) -> NDArray[np.intp]:
    """Anchors at these intervals that count other cells than ``covered``."""
    mine = np.flatnonzero((anchors[:, 1] >= start) & (anchors[:, 1] <= start + count))
    return np.asarray(mine[covered[anchors[mine, 1] - start] != anchors[mine, 2]])


def _check_events(unit: Unit, neurons: int, total: int | None) -> Iterator[Finding]:
    path = f"{unit.path}/{SPIKES}"
    count = unit.rows(f"{SPIKES}/values")
    if count is None:
        yield Finding(path, "has no values")
        return
    for name in (TIMESTEPS, "amplitudes"):
        entries = unit.rows(f"{SPIKES}/{name}")
        if entries is not None and entries != count:
            yield Finding(f"{path}/{name}", f"has {entries} entries for {count} spikes")
    if total is not None and count != total:
        yield Finding(path, f"holds {count} spikes, the episode says {total}")
    if unit.sound(f"{SPIKES}/values"):
        for values in unit.blocks(f"{SPIKES}/values"):
            if len(values) and not 0 <= int(values.min()) <= int(values.max()) < neurons:
                yield Finding(f"{path}/values", f"names a neuron outside the {neurons}")
                break
    ends = unit.rows(f"{SPIKES}/row_ends")
    if ends is None:
        return
    if ends != unit.rows(f"{SPIKES}/rows"):
        yield Finding(path, f"has {unit.rows(f'{SPIKES}/rows')} rows and {ends} row ends")
    if unit.sound(f"{SPIKES}/row_ends") and not leads_up(unit.read(f"{SPIKES}/row_ends"), count):
        yield Finding(f"{path}/row_ends", f"does not lead up to the {count} spikes")
