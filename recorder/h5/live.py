"""The recording's file while episodes stream into it: SWMR with space ahead, so that it always opens.

HDF5 leaves the superblock of a SWMR file stale until it closes: flags that refuse every plain open, and
an end of file before the newest chunks. So the file is extended sparsely ahead of HDF5's own end, and a
superblock that says "nobody writes me, I end there" is written over HDF5's. From then on only
``Dataset.flush`` is called: ``File.flush`` would put the stale one back.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py

from recorder.h5 import superblock
from recorder.h5.transaction import LIBVER

AHEAD = 1 << 20


class LiveFile:
    """An open SWMR writer. ``descriptor`` is the recorder's own handle of the same file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._descriptor = descriptor
        # Our own lock guards the file; HDF5's would be in the way of readers that hold theirs.
        self.file = h5py.File(path, "r+", libver=LIBVER, locking=False)
        self.file.swmr_mode = True
        self._end = 0
        self.extend()

    def extend(self, more: int = 0) -> None:
        """Keep the file's end ahead of HDF5's, which is about to grow by ``more`` bytes."""
        used = self.file.id.get_filesize() + more
        if used + AHEAD // 2 > self._end:
            self._end = used + AHEAD
            os.ftruncate(self._descriptor, self._end)
            superblock.write_open(self._descriptor, self._end)

    def close(self) -> None:
        """Close the writer; HDF5 trims the file and writes a superblock that is true.

        It trims first. Until it has written, ours must not promise bytes that are gone.
        """
        superblock.write_open(self._descriptor, self.file.id.get_filesize())
        self.file.close()

    def disown(self) -> None:
        """In a forked child: let HDF5's handle lead nowhere; its exit must not close the parent's file."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, self.file.id.get_vfd_handle())
        os.close(nowhere)
