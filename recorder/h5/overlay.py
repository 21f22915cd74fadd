"""A file object for h5py that holds back what would overwrite old bytes."""

from __future__ import annotations

import io
import os
from typing import Any

_PAGE = 4096


class OverlayFile(io.RawIOBase):
    """Writes past the old end go to the file; older bytes are copied page by page when first overwritten.

    With ``memory=True`` everything is held back, so that a file can be changed and read without a byte
    of it, or of its folder, being written.
    """

    def __init__(self, descriptor: int, *, memory: bool = False, close: bool = False) -> None:
        super().__init__()
        self.descriptor = descriptor
        self._owns = close
        self.error: OSError | None = None
        """The first write that failed; what came after it is only in memory."""
        self.old_size = os.fstat(descriptor).st_size
        self.size = self.old_size
        self._limit = 1 << 62 if memory else self.old_size
        self._position = 0
        self._pages: dict[int, bytearray] = {}
        self._dirty: dict[int, tuple[int, int]] = {}

    def extents(self) -> list[tuple[int, bytes]]:
        """What was held back: (offset, bytes), ascending."""
        return [
            (page * _PAGE + a, bytes(self._pages[page][a:b])) for page, (a, b) in sorted(self._dirty.items())
        ]

    def close(self) -> None:
        """Let go of the descriptor, if it was given away with ``close=True``."""
        if self._owns and not self.closed:
            os.close(self.descriptor)
        super().close()

    def readable(self) -> bool:
        """True: HDF5 reads old bytes and held ones alike."""
        return True

    def writable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As :meth:`io.RawIOBase.seek`."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position of the next read or write."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from here; past the end it is zeros, as HDF5 expects of its drivers."""
        view = memoryview(buffer).cast("B")
        start, count = self._position, len(view)
        data = os.pread(self.descriptor, count, start)
        view[: len(data)] = data
        view[len(data) :] = bytes(count - len(data))
        if self._pages:
            for page in range(start // _PAGE, (start + count - 1) // _PAGE + 1):
                held = self._pages.get(page)
                if held is not None:
                    base = page * _PAGE
                    a, b = max(start, base), min(start + count, base + _PAGE)
                    view[a - start : b - start] = held[a - base : b - base]
        self._position += count
        return count

    def write(self, data: Any) -> int:
        """Store ``data`` here: in the file past its old end, held back before it."""
        view = memoryview(data).cast("B")
        start, count = self._position, len(view)
        held = max(0, min(count, self._limit - start))
        if held:
            self._hold(start, view[:held])
        done = held
        try:
            while done < count and self.error is None:
                done += os.pwrite(self.descriptor, view[done:], start + done)
        except OSError as error:
            # An exception would go through HDF5, which does not survive it: it is kept for the commit.
            self.error = error
        if done < count:
            self._hold(start + done, view[done:])
        self._position += count
        self.size = max(self.size, self._position)
        return count

    def truncate(self, size: int | None = None) -> int:
        """Set the size; old bytes are cut only when the change is applied."""
        size = self._position if size is None else size
        if size > self._limit and self.error is None:
            try:
                os.ftruncate(self.descriptor, size)
            except OSError as error:
                self.error = error
        self.size = size
        return size

    def _hold(self, start: int, view: memoryview) -> None:
        at = 0
        while at < len(view):
            page, a = divmod(start + at, _PAGE)
            b = min(_PAGE, a + len(view) - at)
            held = self._pages.get(page)
            if held is None:
                old = os.pread(self.descriptor, _PAGE, page * _PAGE)
                held = self._pages[page] = bytearray(old.ljust(_PAGE, b"\0"))
            held[a:b] = view[at : at + b - a]
            lo, hi = self._dirty.get(page, (a, b))
            self._dirty[page] = min(lo, a), max(hi, b)
            at += b - a
