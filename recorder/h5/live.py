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
LEAD = 16 << 20
"""How far the file reaches beyond the end it claims."""


class LiveFile:
    """An open SWMR writer. ``descriptor`` is the recorder's own handle of the same file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._descriptor = descriptor
        # Our own lock guards the file; HDF5's would be in the way of readers that hold theirs.
        self.file = h5py.File(path, "r+", libver=LIBVER, locking=False)
        self.file.swmr_mode = True
        self._claim(os.fstat(descriptor).st_size)

    def extend(self, more: int) -> None:
        """Keep the claimed end ahead of HDF5's, which is about to grow by ``more`` bytes.

        Readers look at the file's size first and at the claim in its superblock later, so the claim is
        always a size that the file had before.
        """
        needed = self.file.id.get_filesize() + more
        if needed + AHEAD > self._claimed:
            size = os.fstat(self._descriptor).st_size
            if size < needed + AHEAD:
                size = needed + LEAD
                os.ftruncate(self._descriptor, size)
            self._claim(size)

    def _claim(self, size: int) -> None:
        superblock.write_open(self._descriptor, size)
        self._claimed = size
        os.ftruncate(self._descriptor, size + LEAD)

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
