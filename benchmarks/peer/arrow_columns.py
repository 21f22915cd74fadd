"""A batch as an Arrow record batch, and back, for the two peers that store those."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from peer.buffer import Batch
from peer.protocol import Part
from peer.work import Work


def schema(work: Work) -> Any:
    """Spikes and potentials are lists: empty ones, of steps whose potentials were not kept, take no room."""
    return pa.schema(
        [
            ("episode", pa.int32()),
            ("t", pa.int64()),
            ("x", pa.float64()),
            ("y", pa.float64()),
            ("reward", pa.float64()),
            ("spikes", pa.list_(pa.from_numpy_dtype(work.neuron_dtype))),
            ("v", pa.list_(pa.from_numpy_dtype(np.dtype(work.dtype)))),
        ]
    )


def record_batch(batch: Batch, names: Any) -> Any:
    """Columns of a batch, without copies where Arrow needs none."""
    counts, neurons = batch.ragged()
    kept = np.zeros(len(batch), np.int32)
    kept[batch.v_row] = batch.work.neurons
    columns = [batch.episode, batch.t, batch.x, batch.y, batch.reward]
    arrays = [pa.array(column) for column in columns]
    arrays += [_lists(counts, neurons), _lists(kept, batch.v.reshape(-1))]
    return pa.record_batch(arrays, schema=names)


def part(stored: Any) -> Part:
    """A record batch or a table as it was read."""
    column = {name: stored.column(name) for name in ("x", "y", "reward", "spikes", "v")}
    for name, array in column.items():
        if isinstance(array, pa.ChunkedArray):
            column[name] = array.combine_chunks()
    x, y, reward = (column[name].to_numpy(zero_copy_only=False) for name in ("x", "y", "reward"))
    lengths = column["v"].value_lengths().to_numpy(zero_copy_only=False)
    return Part(
        counts=column["spikes"].value_lengths().to_numpy(zero_copy_only=False),
        neurons=column["spikes"].flatten().to_numpy(),
        x=x,
        y=y,
        reward=reward,
        v=column["v"].flatten().to_numpy().reshape(np.count_nonzero(lengths), -1) if lengths.any() else None,
    )


def _lists(lengths: Any, values: Any) -> Any:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(offsets, pa.array(values))
