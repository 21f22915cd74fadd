"""NumPy's ``savez_compressed``: an episode waits in memory and becomes a file.

Follows https://numpy.org/doc/stable/reference/generated/numpy.savez_compressed.html. Ragged spikes, since a
dense raster would be deflated ten times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from peer.batched import Batched
from peer.buffer import Batch
from peer.protocol import Array, Part
from peer.work import Work


class Recorder(Batched):
    """A file an episode."""

    def __init__(self, folder: Path, work: Work) -> None:
        super().__init__(work, min(work.steps, work.rows_in(1 << 20)))
        self._folder = folder
        self._pieces: dict[str, list[Array]] = {}
        self._episode = 0

    def write(self, batch: Batch) -> None:
        """Keep a batch."""
        counts, neurons = batch.ragged()
        columns = {name: getattr(batch, name).copy() for name in ("t", "x", "y", "reward", "v")}
        columns["v_t"] = batch.t[batch.v_row]
        for name, column in {**columns, "counts": counts, "neurons": neurons}.items():
            self._pieces.setdefault(name, []).append(column)

    def end_episode(self) -> None:
        """Write the file."""
        self.flush()
        whole = {name: np.concatenate(pieces) for name, pieces in self._pieces.items()}
        self._pieces.clear()
        np.savez_compressed(self._folder / f"episode_{self._episode:06d}.npz", **whole)
        self._episode += 1

    def close(self) -> None:
        """Nothing is open."""


def read(folder: Path) -> Iterator[Part]:
    """File by file."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as file:
            yield Part(**{name: file[name] for name in ("counts", "neurons", "x", "y", "reward", "v")})
