"""Rows that fill no chunk yet, shown in the file for readers who know nothing of the ring.

HDF5 cannot let a filtered chunk grow where it is: each larger one gets another place, and in SWMR mode the
old one is lost. So the rows that are still to come are foretold, and stored as well, beyond the dataset's end
where nobody sees them: as long as they come as foretold, only the end has to move. Timesteps do.

Where they do not, a chunk that fills slowly is stored as it is, whole, in one place where rows are added, and
one that is full after a few looks is encoded anew for each, which takes less. Either is replaced once it is
full. What is there already is written again with the same bytes, and else another place is taken: no reader
sees a row torn.

A chunk of the same size is written over the old one, and the filters that it skipped stay those of the old
one, whatever is said: HDF5 then changes nothing in its index. So of one size there is only ever one form.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from h5py import h5d
from numpy.typing import NDArray

from recorder.format.deflate import UNFILTERED
from recorder.h5.chunking import Chunking


def foretold(rows: NDArray[Any], count: int) -> NDArray[Any]:
    """So many rows, ``(count, ...)``: these ``(rows, ...)``, of which there are some, and how they may go on.

    Numbers that count go on counting, all else stays as it was last.
    """
    known = len(rows)
    whole = np.empty((count, *rows.shape[1:]), rows.dtype)
    whole[:known] = rows
    whole[known:] = rows[-1]
    if rows.ndim == 1 and rows.dtype.kind in "iu" and known > 1:
        # Arrays, not values: they wrap around without a word where they have to.
        whole[known:] += (rows[-1:] - rows[-2:-1]) * np.arange(1, count - known + 1).astype(rows.dtype)
    return whole


def same_bytes(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether rows are the same to the last bit, as NaNs and signed zeros may not be for ``==``."""
    if len(one) != len(other):
        return False
    first, second = (np.ascontiguousarray(rows).reshape(-1).view(np.uint8) for rows in (one, other))
    return np.array_equal(first, second)


class Tail:
    """The last chunk of a dataset, which is not full."""

    def __init__(self) -> None:
        self.rows = 0
        """Rows of it that are in the file."""
        self._size = 0
        """Bytes of it there; as many as its rows have where it is stored as it is."""
        self._whole: NDArray[Any] | None = None
        """What is stored, with what is foretold."""
        self._from = 0
        """Rows when it was stored last."""
        self._lost = 0
        """Bytes of the places that it had before."""

    def store(
        self, dataset: h5d.DatasetID, start: int, rows: NDArray[Any], chunk_rows: int, chunking: Chunking
    ) -> bool:
        """Have these rows ``(rows, ...)``, which begin at ``start``, in the dataset. True if any was new.

        They are what waits for a chunk of ``chunk_rows`` to fill, with what was stored before among them.
        """
        count = len(rows)
        there = self._whole is not None and same_bytes(self._whole[:count], rows)
        if not count or (there and count == self.rows):
            return False
        if count > self.rows:
            dataset.set_extent((start + count, *rows.shape[1:]))
        self.rows = count
        if there:
            return True
        whole = foretold(rows, chunk_rows)
        data, mask = self._form(whole, rows, chunking)
        dataset.write_direct_chunk((start,) + (0,) * (rows.ndim - 1), data, mask)
        if len(data) != self._size:
            self._lost += self._size
        self._whole, self._from, self._size = whole, count, len(data)
        return True

    def _form(self, whole: NDArray[Any], rows: NDArray[Any], chunking: Chunking) -> tuple[Any, int]:
        if self._size != whole.nbytes:
            encoded = chunking.encode(whole)
            size = len(encoded[0])
            expected = self._lost + self._size + size * (1 + self._looks_left(whole, rows))
            if size != self._size and size < whole.nbytes and expected <= whole.nbytes:
                return encoded
        return whole.reshape(-1).view(np.uint8), UNFILTERED

    def _looks_left(self, whole: NDArray[Any], rows: NDArray[Any]) -> int:
        """How often it must be stored again until it is full, if it goes on like this."""
        if len(rows) <= 2 or same_bytes(foretold(rows[:2], len(rows)), rows):
            return 0
        return (len(whole) - len(rows)) // max(1, len(rows) - self._from)

    def holds(self, rows: NDArray[Any]) -> bool:
        """Whether the chunk in the file is encoded, and these are its first rows."""
        whole = self._whole
        return whole is not None and self._size < whole.nbytes and same_bytes(whole[: len(rows)], rows)

    def clashes(self, size: int) -> bool:
        """Whether a chunk of so many bytes would be written over this one instead of taking its place."""
        return self.rows > 0 and size == self._size
