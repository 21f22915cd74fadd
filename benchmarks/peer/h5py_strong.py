"""h5py in its strongest form: ragged spikes, shuffle and zstd, batches of 1 MB, SWMR.

Follows https://docs.h5py.org/en/stable/swmr.html (everything is created before SWMR starts, datasets are
flushed after each append; groups cannot come later, so episodes are an index of first rows) and
https://hdf5plugin.readthedocs.io/en/stable/usage.html for the filter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Part
from peer.work import Work


class Recorder(Batched):
    """Flat datasets, a chunk a batch."""

    def __init__(self, folder: Path, work: Work) -> None:
        rows = work.rows_in(1 << 20)
        super().__init__(work, rows)
        self._file = file = h5py.File(folder / "data.h5", "w", libver="latest")
        spikes = max(4096, int(rows * work.neurons * work.rate) // 8)  # one of them is written twice a batch
        kept = max(1, rows // work.sampling)
        for name, dtype, chunk, width in (
            ("timesteps", np.int64, rows, ()),
            ("x", np.float64, rows, ()),
            ("y", np.float64, rows, ()),
            ("reward", np.float64, rows, ()),
            ("spike_counts", work.neuron_dtype, rows, ()),
            ("spike_neurons", work.neuron_dtype, spikes, ()),
            ("v_timesteps", np.int64, kept, ()),
            ("v", work.dtype, kept, (work.neurons,)),
            ("episodes", np.int32, rows, ()),
        ):
            file.create_dataset(
                name,
                (0, *width),
                dtype,
                maxshape=(None, *width),
                chunks=(chunk, *width),
                shuffle=True,
                **hdf5plugin.Zstd(clevel=1),
            )
        self._datasets = {name: file[name] for name in file}
        file.swmr_mode = True

    def write(self, batch: Batch) -> None:
        """Append to every dataset, the counts of the steps last, and flush."""
        counts, neurons = batch.ragged()
        for name, values in (
            ("v_timesteps", batch.t[batch.v_row]),
            ("v", batch.v),
            ("spike_neurons", neurons),
            ("episodes", batch.episode),
            ("timesteps", batch.t),
            ("x", batch.x),
            ("y", batch.y),
            ("reward", batch.reward),
            ("spike_counts", counts),
        ):
            if len(values):
                dataset = self._datasets[name]
                start = len(dataset)
                dataset.resize(start + len(values), axis=0)
                dataset[start:] = values
                dataset.flush()

    def close(self) -> None:
        """Close the file."""
        self.flush()
        self._file.close()


def read(folder: Path) -> Iterator[Part]:
    """All of it; SWMR readers open finished files too."""
    with h5py.File(folder / "data.h5", "r", swmr=True) as file:
        yield Part(
            counts=file["spike_counts"][:],
            neurons=file["spike_neurons"][:],
            x=file["x"][:],
            y=file["y"][:],
            reward=file["reward"][:],
            v=file["v"][:],
        )
