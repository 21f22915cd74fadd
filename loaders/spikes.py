"""Spikes in the forms users ask for: lists, rasters, sparse matrices, one entry per timestep."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.select import Neurons, selected_ids
from recorder.errors import ReadError
from recorder.format.clock import Rows, row_span
from recorder.h5.source import SpikeRows, SpikeSlice


def spike_list(
    source: SpikeRows, start: float | None, stop: float | None, neurons: Neurons = None
) -> dict[str, NDArray[Any]]:
    """``{'timesteps', 'neuron_ids'[, 'values']}``, one entry per spike in call order."""
    clock = source.clock()
    spikes = _range(source, clock.rows(start, stop))
    if neurons is not None:
        ids = selected_ids(neurons, source.n_neurons)
        spikes = _only(spikes, spikes.neurons == ids[0] if len(ids) == 1 else np.isin(spikes.neurons, ids))
    found: dict[str, NDArray[Any]] = {
        "timesteps": clock.put_values(spikes.rows),
        "neuron_ids": spikes.neurons,
    }
    if spikes.values is not None:
        found["values"] = spikes.values
    return found


def spike_events(source: SpikeRows) -> list[dict[str, Any]]:
    """``[{'timestep': int, 'neuron_ids': [int, …]}, …]``, ascending, timesteps with spikes only."""
    found = spike_list(source, None, None)
    order = np.argsort(found["timesteps"], kind="stable")
    steps, neurons = found["timesteps"][order], found["neuron_ids"][order].tolist()
    cuts = np.flatnonzero(np.diff(steps)) + 1
    starts = [0, *cuts.tolist()] if len(steps) else []
    ends = [*cuts.tolist(), len(steps)]
    return [
        {"timestep": int(steps[low]), "neuron_ids": neurons[low:high]}
        for low, high in zip(starts, ends, strict=False)
    ]


def spike_raster(
    source: SpikeRows, start: float | None, stop: float | None, neurons: Neurons = None
) -> NDArray[Any]:
    """The dense raster ``(logged rows, neurons)`` in the logged dtype."""
    rows = source.clock().rows(start, stop)
    _check_memory(source.n_neurons * 8 if neurons is None or isinstance(neurons, slice) else 0)
    columns = selected_ids(neurons, source.n_neurons)
    count = _count(rows)
    _check_memory(count * len(columns) * source.dtype.itemsize)
    raster = np.zeros((count, len(columns)), source.dtype)
    row, column, values = _places(_range(source, rows), rows, columns, source)
    raster[row, column] = values
    return raster


def spike_matrix(source: SpikeRows, start: float | None, stop: float | None, neurons: Neurons = None) -> Any:
    """The raster as ``scipy.sparse.csr_array``, without ever being dense."""
    import scipy.sparse

    rows = source.clock().rows(start, stop)
    _check_memory(source.n_neurons * 8 if neurons is None or isinstance(neurons, slice) else 0)
    columns = selected_ids(neurons, source.n_neurons)
    row, column, values = _places(_range(source, rows), rows, columns, source)
    shape = (_count(rows), len(columns))
    return scipy.sparse.coo_array((values, (row, column)), shape=shape).tocsr()


def _range(source: SpikeRows, rows: Rows) -> SpikeSlice:
    spikes = source.read(*row_span(rows))
    return spikes if isinstance(rows, slice) else _only(spikes, np.isin(spikes.rows, rows))


def _only(spikes: SpikeSlice, kept: NDArray[np.bool_]) -> SpikeSlice:
    values = None if spikes.values is None else spikes.values[kept]
    return SpikeSlice(spikes.rows[kept], spikes.neurons[kept], values)


def _count(rows: Rows) -> int:
    return int(rows.stop - rows.start) if isinstance(rows, slice) else len(rows)


def _places(
    spikes: SpikeSlice, rows: Rows, columns: NDArray[np.int64], source: SpikeRows
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Row, column and value of each entry of the raster of these rows and columns."""
    if isinstance(rows, slice):
        row = spikes.rows - rows.start
    else:
        row = np.searchsorted(rows, spikes.rows).astype(np.int64)
    values = np.ones(len(row), source.dtype) if spikes.values is None else spikes.values
    if len(columns) == source.n_neurons and columns[0] == 0 and (np.diff(columns) == 1).all():
        return row, spikes.neurons, values
    order = np.argsort(columns, kind="stable")
    low = np.searchsorted(columns[order], spikes.neurons, side="left")
    high = np.searchsorted(columns[order], spikes.neurons, side="right")
    # A neuron that was asked for twice stands in two columns.
    counts = high - low
    entry = np.repeat(np.arange(len(row)), counts)
    offset = np.arange(len(entry)) - np.repeat(np.cumsum(counts) - counts, counts)
    return row[entry], order[low[entry] + offset].astype(np.int64), values[entry]


def _check_memory(nbytes: int) -> None:
    if nbytes < 1 << 30:
        return
    import psutil

    if nbytes > psutil.virtual_memory().available:
        raise ReadError(
            f"the dense raster has {nbytes:,} bytes, more than the memory at hand: "
            "ask for a range, or for get_spike_matrix()"
        )
