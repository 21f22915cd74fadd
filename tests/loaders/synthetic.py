"""Recordings written by hand after the file specification, independently of our own encoders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

GROUPS = ("neural_states", "spikes", "behavior", "rewards", "weight_changes", "events")
FILL = 2**32 - 1


def recording(path: Path, **facts: Any) -> h5py.File:
    """A file with the root's attributes and no episodes."""
    file = h5py.File(path, "w", libver=("v110", "v110"))
    known = {
        "format": "flightrec",
        "format_version": "1.0",
        "schema_version": "1.0.0",
        "exporter": "optimized",
        "experiment_name": "by_hand",
        "timestamp": "20260101_120000",
        "start_time": "2026-01-01T12:00:00",
        "status": "completed",
        "neural_sampling_rate": 1,
        "compression": "gzip",
    }
    file.attrs.update({**known, **facts})
    file.create_group("episodes")
    return file


def episode(file: h5py.File, episode_id: int = 0, **facts: Any) -> h5py.Group:
    """An ended episode without data."""
    group = file.create_group(f"episodes/episode_{episode_id:04d}")
    known = {"episode_id": episode_id, "status": "completed", "success": True, "neural_sampling_rate": 1}
    group.attrs.update({**known, **facts})
    for name in GROUPS:
        group.create_group(name)
    return group


def column(group: h5py.Group, name: str, values: Any, *, rows: int = 7, **facts: Any) -> h5py.Dataset:
    """A dataset as the specification wants it: chunked, shuffled, deflated, unlimited in time."""
    values = np.asarray(values)
    dataset = group.create_dataset(
        name,
        data=values,
        chunks=(rows, *(max(1, n) for n in values.shape[1:])),
        maxshape=(None, *(n or None for n in values.shape[1:])),
        compression="gzip",
        shuffle=True,
    )
    dataset.attrs.update(facts)
    return dataset


def timed(group: h5py.Group, timesteps: Any, **streams: Any) -> None:
    """Streams that share the group's clock."""
    column(group, "timesteps", np.asarray(timesteps, np.int64))
    for key, values in streams.items():
        column(group, key, values, timesteps="timesteps")


def encode_intervals(raster: Any, fill: int = FILL) -> tuple[list[int], list[int]]:
    """Intervals, and how many cells they cover up to and including each."""
    intervals, covered, silent, cells = [], [], 0, 0
    for value in np.asarray(raster).reshape(-1):
        cells += 1
        if value:
            intervals.append(silent)
            covered.append(cells)
            silent = 0
            continue
        silent += 1
        if silent == fill:  # pragma: no cover - no test has the memory for so long a silence
            intervals.append(fill)
            covered.append(cells)
            silent = 0
    return intervals, covered


def spikes(
    group: h5py.Group,
    timesteps: Any,
    raster: Any,
    *,
    anchor_rows: int = 4,
    dtype: str = "",
    drop_anchors: int = 0,
) -> None:
    """``format = "intervals"``; graded values unless the raster is bool or ``dtype`` is ``indices``."""
    raster = np.asarray(raster)
    intervals, covered = encode_intervals(raster != 0)
    facts = {"format": "intervals", "n_neurons": raster.shape[1], "anchor_rows": anchor_rows}
    group.attrs.update({**facts, "dtype": dtype or raster.dtype.name})
    column(group, "timesteps", np.asarray(timesteps, np.int64))
    column(group, "intervals", np.array(intervals, np.uint32))
    lines = []
    for row in range(0, len(raster), anchor_rows):
        before = sum(cells <= row * raster.shape[1] for cells in covered)
        lines.append((row, before, covered[before - 1] if before else 0))
    lines = lines[: len(lines) - drop_anchors]
    column(group, "anchors", np.array(lines, np.int64).reshape(-1, 3))
    if raster.dtype != bool and dtype != "indices":
        column(group, "values", raster.reshape(-1)[np.flatnonzero(raster)])


def spike_events(group: h5py.Group, timesteps: Any, raster: Any) -> None:
    """``format = "events"``, as the plain exporter writes."""
    raster = np.asarray(raster)
    rows, neurons = np.nonzero(raster)
    group.attrs.update({"format": "events", "n_neurons": raster.shape[1], "dtype": raster.dtype.name})
    column(group, "timesteps", np.asarray(timesteps, np.int64)[rows])
    column(group, "values", neurons.astype(np.int64))
    column(group, "rows", np.asarray(timesteps, np.int64))
    column(group, "row_ends", np.cumsum((raster != 0).sum(axis=1)).astype(np.int64))
    if raster.dtype != bool:
        column(group, "amplitudes", raster[rows, neurons])


def rewards(group: h5py.Group, timesteps: Any, values: Sequence[float]) -> None:
    """``format = "runs"``, runs of equal bits."""
    runs: list[list[Any]] = []
    for value in np.asarray(values, np.float64):
        if runs and runs[-1][0].tobytes() == value.tobytes():
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    group.attrs["format"] = "runs"
    column(group, "timesteps", np.asarray(timesteps, np.int64))
    column(group, "values", np.array([value for value, _ in runs], np.float64))
    column(group, "lengths", np.array([length for _, length in runs], np.uint32))


def events(group: h5py.Group, logged: Sequence[tuple[int, str, dict[str, Any]]]) -> None:
    """``format = "json"``; the data must be plain JSON."""
    raw = [json.dumps({"type": kind, "data": data}).encode() for _, kind, data in logged]
    group.attrs["format"] = "json"
    column(group, "timesteps", np.array([step for step, _, _ in logged], np.int64))
    column(group, "ends", np.cumsum([len(text) for text in raw]).astype(np.int64))
    column(group, "data", np.frombuffer(b"".join(raw), np.uint8), rows=50)


def commit(group: h5py.Group, counts: dict[str, int]) -> None:
    """Make the episode a running one, with these committed rows by dataset path."""
    group.attrs["status"] = "running"
    for number, path in enumerate(counts):
        group[path].attrs["counter"] = number
    group.create_dataset("committed", data=np.array(list(counts.values()), np.int64), chunks=(len(counts),))
