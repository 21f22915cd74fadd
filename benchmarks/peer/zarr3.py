"""zarr 3: arrays that grow by whole chunks, Blosc with zstd, appends of 4 MB.

Follows https://zarr.readthedocs.io/en/stable/user-guide/arrays/ ("Resizing and appending", "Compressors") and
https://zarr.readthedocs.io/en/stable/user-guide/performance/ (chunks of a megabyte and more). Shards are left
out: an append that does not fill one rewrites it. Few arrays and large batches, for every append costs some
milliseconds of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr

from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Part
from peer.work import Work


class Recorder(Batched):
    """A chunk a batch; the episode is an array beside the others."""

    def __init__(self, folder: Path, work: Work) -> None:
        rows = work.rows_in(4 << 20)
        super().__init__(work, rows)
        group = zarr.create_group(folder / "data.zarr")
        codec = zarr.codecs.BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")
        kept = max(1, rows // work.sampling)
        spikes = max(4096, int(rows * work.neurons * work.rate))
        self._arrays = {
            name: group.create_array(
                name, shape=(0, *width), chunks=(chunk, *width), dtype=dtype, compressors=codec
            )
            for name, dtype, chunk, width in (
                ("clock", np.int64, rows, (2,)),
                ("behavior", np.float64, rows, (2,)),
                ("reward", np.float64, rows, ()),
                ("spike_counts", work.neuron_dtype, rows, ()),
                ("spike_neurons", work.neuron_dtype, spikes, ()),
                ("v", work.dtype, kept, (work.neurons,)),
            )
        }

    def write(self, batch: Batch) -> None:
        """Append, the counts of the steps last."""
        counts, neurons = batch.ragged()
        for name, values in (
            ("clock", np.stack([batch.episode, batch.t], axis=1)),
            ("v", batch.v),
            ("spike_neurons", neurons),
            ("behavior", np.stack([batch.x, batch.y], axis=1)),
            ("reward", batch.reward),
            ("spike_counts", counts),
        ):
            if len(values):
                self._arrays[name].append(values)

    def close(self) -> None:
        """Nothing is open."""
        self.flush()


def read(folder: Path) -> Iterator[Part]:
    """All of it."""
    group = zarr.open_group(folder / "data.zarr", mode="r")
    behavior = group["behavior"][:]
    yield Part(
        counts=group["spike_counts"][:],
        neurons=group["spike_neurons"][:],
        x=behavior[:, 0],
        y=behavior[:, 1],
        reward=group["reward"][:],
        v=group["v"][:],
    )
