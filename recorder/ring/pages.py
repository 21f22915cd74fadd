"""Pages of a mapped file, brought into memory many at a time.

The first store into a page of a map is a fault, in which the file system makes a page: four to nine
microseconds, which is ten calls of ``log()``. The first of all reads ahead besides, two milliseconds of
what are zeros, in small pages that stay small. Zeros that are written instead make the same pages, as
large ones where the kernel knows them, for a tenth of that.
"""

from __future__ import annotations

import contextlib
import mmap
import os

_POPULATE_WRITE = 23
"""``MADV_POPULATE_WRITE`` of Linux 5.14, which Python has no name for."""
_STEP = 1 << 18
"""Bytes that are made ready at least: small records would else pay for a call each."""
_ZEROS = bytes(1 << 16)
_MOST = 64
"""Buffers of zeros of one call."""


class Pages:
    """Those of a new file from ``start`` to ``end``, in which nothing is stored yet."""

    def __init__(self, descriptor: int, mapped: mmap.mmap, start: int, end: int) -> None:
        self._descriptor, self._map = descriptor, mapped
        self._ready, self._end = start, end

    def prepare(self, upto: int) -> None:
        """Have all before ``upto`` in memory; what was prepared before is left alone."""
        start = self._ready
        if upto > start:
            self._ready = min(start + -(-(upto - start) // _STEP) * _STEP, self._end)
            clear(self._descriptor, self._map, start, self._ready)


def clear(descriptor: int, mapped: mmap.mmap, start: int, end: int) -> None:
    """Write zeros to these pages of a file, and have them in its map."""
    # A system that refuses has its faults, and says with a store what is wrong, as ever.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        place = start
        while place < end:
            whole, rest = divmod(end - place, len(_ZEROS))
            buffers = [_ZEROS] * min(whole, _MOST) if whole else [_ZEROS[:rest]]
            place += os.pwritev(descriptor, buffers, place)
        mapped.madvise(_POPULATE_WRITE, start, end - start)
