"""HDF5's global heap, where variable-length texts stand, laid out here: collections of 4 KiB and more.

HDF5 file format specification, version 3.0, section III.E. It has no checksums.
"""

from __future__ import annotations

import struct

_COLLECTION = struct.Struct("<4sBxxxQ")
_OBJECT = struct.Struct("<HHIQ")
_SMALLEST = 4096
"""HDF5 takes none that is smaller."""

Place = tuple[int, int, int]
"""What an attribute holds of a text: its length, the address of its collection, its number there."""


class Heap:
    """Puts texts into collections within ``image``, which grows and will begin at ``base`` in the file."""

    def __init__(self, image: bytearray, base: int) -> None:
        self._image, self._base = image, base
        self._start = self._next = self._end = self._count = 0

    def put(self, text: bytes) -> Place:
        """Store a text."""
        length = len(text)
        if not length:
            return 0, 0, 0
        room = _OBJECT.size + (length + 7 & ~7)
        if self._next + room > self._end:
            self._begin(room)
        at = self._next
        self._count += 1
        # HDF5 counts no references to what is the value of an attribute.
        _OBJECT.pack_into(self._image, at, self._count, 0, 0, length)
        self._image[at + _OBJECT.size : at + _OBJECT.size + length] = text
        self._next += room
        return length, self._base + self._start, self._count

    def finish(self) -> None:
        """No more texts will come."""
        rest = self._end - self._next
        if rest >= _OBJECT.size:
            # Object 0 is the free space, with itself; what is too small for it is free without a word.
            _OBJECT.pack_into(self._image, self._next, 0, 0, 0, rest)
        self._next = self._end

    def _begin(self, room: int) -> None:
        self.finish()
        size = max(_SMALLEST, _COLLECTION.size + room)
        self._start, self._count = len(self._image), 0
        self._next, self._end = self._start + _COLLECTION.size, self._start + size
        self._image += _COLLECTION.pack(b"GCOL", 1, size).ljust(size, b"\0")
