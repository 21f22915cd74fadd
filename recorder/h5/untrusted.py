"""Opening a file that nobody vouches for, so that its bytes cannot hang HDF5.

HDF5 checks the checksums of its metadata, but the heaps that hold variable-length text have none, and HDF5
2.0 walks them for ever where a page of one was lost: an object of no length is followed by itself. So
HDF5 reads such files through an object that looks at every heap first.
"""

from __future__ import annotations

import fcntl
import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from recorder.h5.leftover import closed_at_exit

_MAGIC = b"GCOL"
_HEADER = 16


class UntrustedFile(io.RawIOBase):
    """A file for h5py to read, in which broken heaps of text look like no heaps at all.

    Any process may fork or thread with it: reads go by position.

    Parameters
    ----------
    lock : bool
        Share the file as HDF5 does, so that a writer which locks it is noticed.

    Raises
    ------
    OSError
        The file cannot be opened, or a writer holds it.
    """

    def __init__(self, path: Path, *, lock: bool = False) -> None:
        super().__init__()
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._position = 0
        if lock:
            self._lock(path)

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise BlockingIOError(error.errno, "another program is writing this file", str(path)) from None
        except OSError:
            pass  # a file system without locks: HDF5 goes on as well

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As :meth:`io.RawIOBase.seek`."""
        if whence == os.SEEK_END:
            offset += os.fstat(self.descriptor).st_size
        self._position = offset + (self._position if whence == os.SEEK_CUR else 0)
        return self._position

    def tell(self) -> int:
        """The position of the next read."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from here; zeros past the end, as HDF5 expects of its drivers."""
        view = memoryview(buffer).cast("B")
        start, count = self._position, len(view)
        done = os.preadv(self.descriptor, [view], start)
        while done < count:
            got = os.preadv(self.descriptor, [view[done:]], start + done)
            if not got:
                view[done:] = bytes(count - done)
                break
            done += got
        if view[:4] == _MAGIC:
            left = os.fstat(self.descriptor).st_size - start
            hide_broken_heap(view, left, lambda n: os.pread(self.descriptor, n, start))
        self._position += count
        return count

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            os.close(self.descriptor)
        super().close()


class OpenUntrusted(h5py.File):  # type: ignore[misc]
    """An ``h5py.File`` that reads through an :class:`UntrustedFile`.

    Attributes
    ----------
    raw : UntrustedFile or None
        For reading the file's bytes by position; None once the file is closed, and where they do not stand
        at the addresses that HDF5 names.
    """

    def __init__(self, raw: UntrustedFile) -> None:
        super().__init__(raw, "r")
        self.raw: UntrustedFile | None = None if self.userblock_size else raw

    def close(self) -> None:
        """Close the file; the descriptor is closed with the last read that uses it."""
        self.raw = None
        super().close()


def hide_broken_heap(view: memoryview, left: int, whole: Callable[[int], bytes]) -> None:
    """Take its signature from a heap of text that HDF5 is about to read and that leads nowhere.

    Parameters
    ----------
    view : memoryview of bytes
        What HDF5 is going to see, and where the heap begins if it is one.
    left : int
        Bytes from there to the file's end.
    whole : callable
        Returns so many bytes of the file from there.
    """
    if view[:4] == _MAGIC and not _is_whole(view, left, whole):
        # An exception would go through HDF5, which does not survive it.
        view[:4] = bytes(4)


def _is_whole(view: memoryview, left: int, whole: Callable[[int], bytes]) -> bool:
    if len(view) < _HEADER:
        return True
    (size,) = struct.unpack_from("<Q", view, 8)
    if size > left:
        return False
    heap = view[:size] if size <= len(view) else whole(size)
    place = _HEADER
    while place + _HEADER <= size:
        index, length = struct.unpack_from("<H6xQ", heap, place)
        step = _HEADER + -(-length // 8) * 8 if index else length
        if step < _HEADER or step > size - place:
            return False
        place += step
    return True


def open_untrusted(path: Path, *, lock: bool = False) -> h5py.File:
    """The file, read-only, apart from every other handle of this process.

    Raises
    ------
    OSError
        It cannot be opened, a writer holds it, or it is no HDF5 file.
    """
    raw = UntrustedFile(path, lock=lock)
    try:
        return closed_at_exit(OpenUntrusted(raw))
    except BaseException:
        raw.close()
        raise
