"""Rows that fill no chunk yet, shown in the file for readers who know nothing of the ring.

HDF5 cannot let a filtered chunk grow where it is: each larger one gets another place, and in SWMR mode the
old one is lost. So a chunk that fills slowly is stored as it is, whole, in one place where rows are added;
one that is full after a few looks is encoded anew for each, which takes less. Either is replaced once it is
full. What is there already is written again with the same bytes: no reader sees a row torn.
"""

from __future__ import annotations

import time
from typing import Any

import h5py
import numpy as np
from h5py import h5d
from numpy.typing import NDArray

from recorder.format.deflate import UNFILTERED, joined
from recorder.h5.chunking import Chunking

FEWEST = 64
"""Rows of a chunk at least."""
_SOON = 4
"""A chunk that is full after at most so many more looks is encoded for each of them."""
_LOOKS = 2
"""Looks that a chunk shall be good for."""


class Pace:
    """How fast a recording is logged, for datasets that shall be fresh every so many seconds."""

    def __init__(self, every: float) -> None:
        self._every, self._last = every, time.monotonic()

    def chunk_rows(self, rows: int, most: int) -> int:
        """Rows of a chunk, those of a few looks, of a stream that got its first so many since the last."""
        elapsed = max(time.monotonic() - self._last, 1e-6)
        return min(most, max(FEWEST, rows + 1, round(_LOOKS * rows * self._every / elapsed)))

    def looked(self) -> None:
        """All that was logged until now has been taken."""
        self._last = time.monotonic()


class Tail:
    """The last chunk of a dataset, which is not full."""

    def __init__(self) -> None:
        self.rows = 0
        """Rows of it that are in the file."""
        self._in_place = False
        self._last: NDArray[Any] | None = None

    def store(
        self, dataset: h5d.DatasetID, start: int, rows: NDArray[Any], chunk_rows: int, chunking: Chunking
    ) -> bool:
        """Have these rows, which begin at ``start``, in the dataset. True if they were not all there."""
        if not len(rows) or (
            self._last is not None and np.array_equal(rows[-1:], self._last) and len(rows) == self.rows
        ):
            return False
        if len(rows) > self.rows:
            dataset.set_extent((start + len(rows), *rows.shape[1:]))
        soon = (len(rows) - self.rows) * _SOON >= chunk_rows - len(rows)
        self.rows, self._last = len(rows), rows[-1:].copy()
        place = (start,) + (0,) * (rows.ndim - 1)
        if not chunking.outside:
            h5py.Dataset(dataset)[start : start + len(rows)] = rows
        elif soon and not self._in_place:
            dataset.write_direct_chunk(place, *chunking.encode(joined([rows], chunk_rows)))
        else:
            raw = np.ascontiguousarray(joined([rows], chunk_rows)).reshape(-1).view(np.uint8)
            dataset.write_direct_chunk(place, raw, UNFILTERED)
            self._in_place = True
        return True
