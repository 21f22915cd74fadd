"""Rows that fill no chunk yet, shown in the file for readers who know nothing of the ring.

HDF5 cannot let a filtered chunk grow where it is: each larger one gets another place, and in SWMR mode the
old one is lost. So a chunk that fills slowly is stored as it is, whole, in one place where rows are added;
one that is full after a few looks is encoded anew for each, which takes less. Either is replaced once it is
full. What is there already is written again with the same bytes, and else another place is taken: no reader
sees a row torn.

A chunk of the same size is written over the old one, and the filters that it skipped stay those of the old
one, whatever is said: HDF5 then changes nothing in its index. So of one size there is only ever one form.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from h5py import h5d
from numpy.typing import NDArray

from recorder.format.deflate import UNFILTERED, joined
from recorder.h5.chunking import Chunking

FEWEST = 1000
"""Rows of a chunk at least, unless all have fewer."""
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
        if not rows:
            return most
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
        self._size = 0
        """Bytes of it there; as many as its rows have where it is stored as it is."""
        self._last: NDArray[Any] | None = None

    def store(
        self, dataset: h5d.DatasetID, start: int, rows: NDArray[Any], chunk_rows: int, chunking: Chunking
    ) -> bool:
        """Have these rows ``(rows, ...)``, which begin at ``start``, in the dataset. True if any was new.

        They are what waits for a chunk of ``chunk_rows`` to fill, with what was stored before among them.
        """
        same = len(rows) == self.rows and self._last is not None and np.array_equal(rows[-1:], self._last)
        if not len(rows) or same:
            return False
        if len(rows) > self.rows:
            dataset.set_extent((start + len(rows), *rows.shape[1:]))
        soon = (len(rows) - self.rows) * _SOON >= chunk_rows - len(rows)
        self.rows, self._last = len(rows), rows[-1:].copy()
        whole = np.ascontiguousarray(joined([rows], chunk_rows))
        data, mask = whole.reshape(-1).view(np.uint8), UNFILTERED
        if soon and self._size != whole.nbytes:
            encoded = chunking.encode(whole)
            if len(encoded[0]) < whole.nbytes and len(encoded[0]) != self._size:
                data, mask = encoded
        dataset.write_direct_chunk((start,) + (0,) * (rows.ndim - 1), data, mask)
        self._size = len(data)
        return True

    def clashes(self, size: int) -> bool:
        """Whether a chunk of so many bytes would be written over this one instead of taking its place."""
        return self.rows > 0 and size == self._size
