"""h5py as most write it: resizable datasets in a group an episode, 1,000 buffered rows, dense, gzip.

Follows https://docs.h5py.org/en/stable/high/dataset.html, "Resizable datasets" and "Filter pipeline".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py

from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Part
from peer.work import Work

ROWS = 1000


class Recorder(Batched):
    """A group an episode; every 1,000 rows each dataset is resized and written."""

    def __init__(self, folder: Path, work: Work) -> None:
        super().__init__(work, ROWS)
        self._work = work
        self._file = h5py.File(folder / "data.h5", "w")
        self._group = self._file
        self._begin = self.start_episode
        self.start_episode = self._start

    def _start(self) -> None:
        self._begin()
        self._group = group = self._file.create_group(f"episode_{len(self._file):04d}")
        width, kept = self._work.neurons, max(1, ROWS // self._work.sampling)
        for name in ("timesteps", "x", "y", "reward"):
            dtype = "i8" if name == "timesteps" else "f8"
            group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(ROWS,), compression="gzip")
        for name, rows, dtype in (("spikes", ROWS, "?"), ("v", kept, self._work.dtype)):
            chunks = (min(rows, max(1, self._work.steps)), width)
            group.create_dataset(
                name, (0, width), dtype, maxshape=(None, width), chunks=chunks, compression="gzip"
            )

    def write(self, batch: Batch) -> None:
        """Append to every dataset of the running episode."""
        columns = {"timesteps": batch.t, "x": batch.x, "y": batch.y, "reward": batch.reward}
        for name, values in {**columns, "spikes": batch.raster(), "v": batch.v}.items():
            dataset = self._group[name]
            dataset.resize(len(dataset) + len(values), axis=0)
            if len(values):
                dataset[-len(values) :] = values

    def end_episode(self) -> None:
        """Its last rows belong into its own group."""
        self.flush()

    def close(self) -> None:
        """Close the file."""
        self.flush()
        self._file.close()


def read(folder: Path) -> Iterator[Part]:
    """Group by group."""
    with h5py.File(folder / "data.h5", "r") as file:
        for group in file.values():
            raster = group["spikes"][:]
            yield Part(
                counts=raster.sum(axis=1),
                neurons=raster.nonzero()[1],
                x=group["x"][:],
                y=group["y"][:],
                reward=group["reward"][:],
                v=group["v"][:],
            )
