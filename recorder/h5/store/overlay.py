"""A file object that serves one change after the other, so that HDF5 need not open the file for each."""

from __future__ import annotations

import os
import struct

from recorder.h5 import superblock
from recorder.h5.overlay import OverlayFile

_VERSION, _FLAGS = 8, 11
_ENDS = {0: 40, 1: 44, 2: 28, 3: 28}
"""Where superblocks of each version say where the file ends."""
_OLD = (0, 1)


class KeptOverlay(OverlayFile):
    """An :class:`OverlayFile` whose changes become old bytes once they are applied."""

    def rebase(self) -> None:
        """What was held back is in the file: the next change begins."""
        self._pages.clear()
        self._dirty.clear()
        self.old_size = self._limit = self._base = self.size
        self._fresh, self._gathers = bytearray(), True

    def forsake(self) -> None:
        """Write nothing any more, whatever HDF5 does while it closes the file."""
        self._limit, self._gathers = 1 << 62, False

    def bytes_at(self, start: int, size: int) -> bytes:
        """Bytes as they will be once what is held back has been applied."""
        return self._bytes_at(start, size)

    def clear_flags(self) -> None:
        """Have the superblock say that nobody writes the file, as every tool wants it.

        Files with older superblocks have no such flags.

        Raises
        ------
        DamagedError
            The superblock fails its checksum.
        """
        self.seek(0)
        block = self.read(superblock.SIZE)
        if block[_VERSION] == 3 and block[_FLAGS]:
            mended = superblock.mended(block, self.size)
            self.seek(0)
            self.write(mended)


def claimed_end(descriptor: int) -> int:
    """Where the file ends for HDF5. What lies behind is room, or was left by a change that never happened.

    A file that another program left open for writing ends where it does.
    """
    size = os.fstat(descriptor).st_size
    block = os.pread(descriptor, superblock.SIZE + 8, 0)
    place = _ENDS.get(block[_VERSION]) if len(block) > _VERSION else None
    if place is None or len(block) < place + 8:
        return size
    (end,) = struct.unpack_from("<Q", block, place)
    in_use = block[_VERSION] not in _OLD and block[_FLAGS]
    return size if in_use or not 0 < end <= size else int(end)
