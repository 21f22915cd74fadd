"""PyTables: a table of the steps and enlargeable arrays, Blosc2 with LZ4, batches of 1 MB, flushed.

Follows https://www.pytables.org/usersguide/optimization.html ("Understanding chunking", "Fine-tuning the
chunksize", "Compression issues"; few nodes rather than many, hence the episode is a column).
Chunks are a batch each: left to itself PyTables 3.11 takes chunks of 500 MB for Blosc2, in which an append of
1 MB lasts a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tables

from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Part
from peer.work import Work


class Recorder(Batched):
    """Appends to a table and two arrays, then flushes."""

    def __init__(self, folder: Path, work: Work) -> None:
        rows = work.rows_in(1 << 20)
        super().__init__(work, rows)
        filters = tables.Filters(complevel=1, complib="blosc2:lz4", shuffle=True)
        self._file = file = tables.open_file(str(folder / "data.h5"), "w", filters=filters)
        self._row = np.dtype(
            [("episode", "i4"), ("t", "i8"), ("x", "f8"), ("y", "f8"), ("reward", "f8"), ("spikes", "u4")]
        )
        self._steps = file.create_table("/", "steps", self._row, expectedrows=work.total, chunkshape=(rows,))
        ids = tables.Atom.from_dtype(work.neuron_dtype)
        chunk = (int(rows * work.neurons * work.rate) + 1,)
        self._neurons = file.create_earray("/", "neurons", ids, (0,), chunkshape=chunk)
        floats = tables.Atom.from_dtype(np.dtype(work.dtype))
        kept = max(1, rows // work.sampling)
        self._v = file.create_earray("/", "v", floats, (0, work.neurons), chunkshape=(kept, work.neurons))

    def write(self, batch: Batch) -> None:
        """Append and flush."""
        counts, neurons = batch.ragged()
        rows = np.empty(len(batch), self._row)
        for name in ("episode", "t", "x", "y", "reward"):
            rows[name] = getattr(batch, name)
        rows["spikes"] = counts
        self._neurons.append(neurons)
        self._v.append(batch.v)
        self._steps.append(rows)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self.flush()
        self._file.close()


def read(folder: Path) -> Iterator[Part]:
    """All of it."""
    with tables.open_file(str(folder / "data.h5"), "r") as file:
        steps = file.root.steps.read()
        yield Part(
            counts=steps["spikes"],
            neurons=file.root.neurons.read(),
            x=steps["x"],
            y=steps["y"],
            reward=steps["reward"],
            v=file.root.v.read(),
        )
