"""Where chunks lie in a file, and their bytes by position: for many threads, without HDF5's lock."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from recorder.errors import DamagedError
from recorder.h5.reading.chunks import ChunkLayout, fetch
from recorder.h5.untrusted import OpenUntrusted, UntrustedFile

_FEW = 8
"""HDF5 walks the whole index for each chunk it is asked for; from so many on, all are listed in one walk."""


class Place(NamedTuple):
    """Where a chunk lies as stored, and the filters that it skipped."""

    offset: int
    size: int
    mask: int


class ChunkPlaces:
    """The chunks, each of whole rows, that one read wants.

    Parameters
    ----------
    file : h5py.File or None
        Of a dataset that no longer changes, the file it is in. Where that was opened by position, bytes are
        read so; else HDF5 is asked for them.
    wanted : range
        The rows that they begin at.
    """

    def __init__(self, dataset: Any, layout: ChunkLayout, file: Any, wanted: range) -> None:
        self._dataset, self._layout = dataset, layout
        # A reference of its own: whoever closes the file meanwhile does not close it under this read.
        self._raw = file.raw if isinstance(file, OpenUntrusted) else None
        self._size = 0 if self._raw is None else os.fstat(self._raw.descriptor).st_size
        self._places = {} if self._raw is None else self._find(wanted)

    def fetch(self, row: int) -> tuple[bytes, int]:
        """The bytes of the chunk that begins at ``row``, and its filter mask; from any thread.

        Raises
        ------
        DamagedError
            There is no such chunk, or its bytes are not in the file.
        """
        if self._raw is None:
            return fetch(self._dataset, self._layout.nbytes, self._corner(row))
        place = self._places.get(row)
        if place is None:
            raise self._unreadable(row, "it was never stored")
        if place.offset + place.size > self._size:
            raise self._unreadable(row, f"it claims {place.size:,} bytes")
        return _bytes_at(self._raw, place), place.mask

    def _find(self, wanted: range) -> dict[int, Place]:
        found: dict[int, Place] = {}

        def take(info: Any) -> None:
            if info.chunk_offset[0] in wanted and info.byte_offset is not None and info.size:
                found[info.chunk_offset[0]] = Place(info.byte_offset, info.size, info.filter_mask)

        if len(wanted) > _FEW:
            self._dataset.id.chunk_iter(take)
            return found
        for row in wanted:
            try:
                take(self._dataset.id.get_chunk_info_by_coord(self._corner(row)))
            except (RuntimeError, OSError) as error:
                raise self._unreadable(row, error) from error
        return found

    def _corner(self, row: int) -> tuple[int, ...]:
        return (row, *(0 for _ in self._layout.chunk[1:]))

    def _unreadable(self, row: int, why: object) -> DamagedError:
        end = row + self._layout.chunk[0] - 1
        return DamagedError(f"{self._dataset.name}: rows {row} to {end} cannot be read: {why}")


def _bytes_at(raw: UntrustedFile, place: Place) -> bytes:
    # The file may have been cut meanwhile: too few bytes are found by whoever decodes them.
    return os.pread(raw.descriptor, place.size, place.offset)
