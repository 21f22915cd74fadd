"""The recording's file while episodes stream into it: SWMR with space ahead, so that it always opens.

HDF5 leaves the superblock of a SWMR file stale until it closes: flags that refuse every plain open, and
an end of file before the newest chunks. So the file is extended sparsely ahead of HDF5's own end, and a
superblock that says "nobody writes me, I end there" is written over HDF5's. From then on only
``Dataset.flush`` is called: ``File.flush`` would put the stale one back.

HDF5 does not survive a write that is refused: whatever is closed afterwards fails again, and at exit the
interpreter may die. So room is allocated before it writes, its closing goes to memory, and after an
error its handle leads nowhere and is never closed.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import h5py

from recorder.errors import FlightrecError
from recorder.h5 import superblock
from recorder.h5.disk import allocate
from recorder.h5.transaction import LEAD, LIBVER

AHEAD = 1 << 20


class LiveFile:
    """An open SWMR writer. ``descriptor`` is the recorder's own handle of the same file.

    Raises
    ------
    OSError
        The file cannot be opened or written; it is as plain as it was.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._descriptor = descriptor
        self.file, self._aside = _opened(descriptor)
        try:
            real = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(real, self.file.id.get_vfd_handle(), inheritable=False)
            os.close(real)
            self._claim(os.fstat(descriptor).st_size)
        except BaseException:
            self.disown()
            raise

    def extend(self, more: int) -> None:
        """Keep the claimed end ahead of HDF5's, which is about to grow by ``more`` bytes.

        Readers look at the file's size first and at the claim in its superblock later, so the claim is
        always a size that the file had before.

        Raises
        ------
        OSError
            There is no room.
        """
        end = self.file.id.get_filesize()
        needed = end + more
        allocate(self._descriptor, end, more)
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
        """Close the writer; the superblock is true then, and the file still reaches beyond its end.

        HDF5 closes into memory. All that it writes there is a superblock, because datasets are flushed
        as they are appended to; ours says the same.

        Raises
        ------
        OSError
            The file could not be written; HDF5 has let go of it all the same.
        """
        superblock.write_open(self._descriptor, self._close_aside())

    def _close_aside(self) -> int:
        try:
            aside = os.memfd_create("flightrec", os.MFD_CLOEXEC)
        except OSError:
            self.disown()
            raise
        try:
            os.ftruncate(aside, self.file.id.get_filesize())
            os.dup2(aside, self.file.id.get_vfd_handle(), inheritable=False)
            self.file.close()
            os.close(self._aside)
            return os.fstat(aside).st_size
        except RuntimeError as error:
            raise OSError(errno.EIO, f"HDF5 could not close the file: {error}") from error
        finally:
            os.close(aside)

    def forsake(self) -> None:
        """After an error: HDF5 writes nothing more, and the file opens plainly with what is committed."""
        size = os.fstat(self._descriptor).st_size
        self.disown()
        _plain_again(self._descriptor, size)

    def disown(self) -> None:
        """Let HDF5's handle lead nowhere: whatever it still does, at exit too, reaches no file.

        Its objects are never closed, because closing them would fail again; nor is the copy.
        """
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(nowhere, self.file.id.get_vfd_handle(), inheritable=False)
        os.close(nowhere)
        for held in h5py.h5f.get_obj_ids(self.file.id):
            h5py.h5i.inc_ref(held)


def _opened(descriptor: int) -> tuple[h5py.File, int]:
    """HDF5's SWMR writer of this file, over a temporary copy of what it reads and writes to begin with.

    The flags that it sets, and with which no reader opens the file, stay in that copy. Its descriptor must
    stay open as long as HDF5's file does: HDF5 tells files apart by their inodes, and would take the next
    recording for this one if the kernel gave it the same.
    """
    # A name in a file system: HDF5 asks for the real path of what it opens.
    aside, name = tempfile.mkstemp(prefix="flightrec-")
    try:
        os.ftruncate(aside, os.fstat(descriptor).st_size)
        with h5py.File(_Copying(descriptor, aside), "r"):
            pass
        # Our own lock guards the file; HDF5's would be in the way of readers that hold theirs.
        file = h5py.File(name, "r+", libver=LIBVER, locking=False)
        file.swmr_mode = True
    except BaseException as error:
        os.close(aside)
        if isinstance(error, RuntimeError):
            raise OSError(errno.EIO, f"HDF5 could not open the file: {error}") from error
        raise
    finally:
        Path(name).unlink()
    return file, aside


class _Copying(io.FileIO):
    """A file for HDF5 to read; whatever it reads is copied to the same place of another."""

    def __init__(self, descriptor: int, copy: int) -> None:
        super().__init__(descriptor, closefd=False)
        self._copy = copy
        self.seek(0)

    def readinto(self, buffer: Any) -> int:
        """As :meth:`io.RawIOBase.readinto`."""
        start = self.tell()
        count = super().readinto(buffer)
        os.pwrite(self._copy, memoryview(buffer).cast("B")[:count], start)
        return count


def _plain_again(descriptor: int, size: int) -> None:
    with contextlib.suppress(OSError, FlightrecError):
        superblock.write_open(descriptor, size)
