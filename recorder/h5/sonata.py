"""SONATA's files of spikes and of reports, written piece by piece.

https://github.com/AllenInstitute/sonata/blob/master/docs/SONATA_DEVELOPER_GUIDE.md
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.h5.draft import draft_file

_MAGIC, _VERSION = 0x0A7A, (0, 1)
_SORTING = {"none": 0, "by_id": 1, "by_time": 2}
_CHUNK = 1 << 18
_SUMS = 1 << 20
_TOLERANCE = 1e-6


def write_spikes(
    path: Path,
    population: str,
    blocks: Iterable[tuple[NDArray[np.float64], NDArray[np.int64]]],
    *,
    by_time: bool,
) -> None:
    """Times in milliseconds and neurons, ``(spikes,)`` each, in the order in which they come."""
    with _made(path) as (file, step):
        group = file.create_group(f"spikes/{population}")
        kind = h5py.enum_dtype(_SORTING, np.uint8)
        group.attrs.create("sorting", _SORTING["by_time" if by_time else "none"], dtype=kind)
        times = _growing(group, "timestamps", np.dtype(np.float64))
        times.attrs["units"] = "ms"
        nodes = _growing(group, "node_ids", np.dtype(np.uint64))
        for values, neurons in blocks:
            _extend(times, values)
            _extend(nodes, neurons.astype(np.uint64))
            step()


def report_stop(first: float, step: float, rows: int) -> float | None:
    """The time of stop, in ms, for which libsonata finds so many rows; None where it would not find them.

    It adds the step up until it comes within 1e-6 of the stop, takes each sum for the time of a row, and
    begins with the first one that is later than the start less 1e-6: of times so large that 1e-6 is lost
    in them it misses one.
    """
    last, done = first, 0
    while done < rows - 1:
        # As it adds: one after the other, each sum rounded.
        part = np.full(min(_SUMS, rows - done), step)
        part[0] = last
        sums = np.add.accumulate(part)
        exact = first + step * np.arange(done, done + len(sums))
        if np.abs(sums - exact).max() >= step / 2:
            return None
        last, done = float(sums[-1]), done + len(sums) - 1
    stop = last + step
    found = first < first + _TOLERANCE and last < stop - _TOLERANCE
    return stop if found else None


def write_report(
    path: Path,
    population: str,
    width: int,
    dtype: np.dtype[Any],
    blocks: Iterable[NDArray[Any]],
    *,
    time: tuple[float, float, float],
    units: str,
) -> None:
    """A value of each neuron, ``(rows, width)`` in blocks; ``time`` is start, stop and step in ms."""
    with _made(path) as (file, step):
        group = file.create_group(f"report/{population}")
        data = _growing(group, "data", dtype, width)
        data.attrs["units"] = units
        mapping = group.create_group("mapping")
        nodes = mapping.create_dataset("node_ids", data=np.arange(width, dtype=np.uint64))
        nodes.attrs["sorted"] = np.uint8(1)
        mapping.create_dataset("index_pointers", data=np.arange(width + 1, dtype=np.uint64))
        mapping.create_dataset("element_ids", data=np.zeros(width, np.uint32))
        clock = mapping.create_dataset("time", data=np.array(time, np.float64))
        clock.attrs["units"] = "ms"
        for values in blocks:
            _extend(data, values)
            step()


@contextlib.contextmanager
def _made(path: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    with draft_file(path, libver=None) as (file, step):
        file.attrs["magic"] = np.uint32(_MAGIC)
        file.attrs["version"] = np.array(_VERSION, np.uint32)
        yield file, step


def _growing(group: h5py.Group, name: str, dtype: np.dtype[Any], *row: int) -> h5py.Dataset:
    rows = max(1, _CHUNK // max(1, dtype.itemsize * int(np.prod(row, dtype=np.int64))))
    # Without filters: the HDF5 inside libsonata has none.
    return group.create_dataset(name, (0, *row), dtype, maxshape=(None, *row), chunks=(rows, *row))


def _extend(dataset: h5py.Dataset, values: NDArray[Any]) -> None:
    if len(values):
        dataset.resize(len(dataset) + len(values), 0)
        dataset[len(dataset) - len(values) :] = values
