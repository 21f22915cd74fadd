"""A file object for h5py that holds back what would overwrite old bytes."""

from __future__ import annotations

import io
import os
from typing import Any

from recorder.h5.disk import write_all
from recorder.h5.untrusted import hide_broken_heap

_PAGE = 4096
_GATHERED = 4 << 20
"""Bytes past the old end that are gathered in memory: HDF5 writes them in pieces of some hundred."""
_LARGE = 1 << 16
"""A piece of this size goes to the file at once: fresh memory for it would cost more than its call."""


class OverlayFile(io.RawIOBase):
    """Writes past the old end go to the file; older bytes are copied page by page when first overwritten.

    With ``memory=True`` everything is held back, so that a file can be changed and read without a byte
    of it, or of its folder, being written. ``end`` is where the file ends for HDF5, if there is room after;
    with ``untrusted``, broken heaps of text are hidden from it.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        end: int | None = None,
        memory: bool = False,
        close: bool = False,
        untrusted: bool = False,
    ) -> None:
        super().__init__()
        self.descriptor = descriptor
        self._owns, self._untrusted = close, untrusted
        self.error: OSError | None = None
        """The first write that failed; what came after it is only in memory."""
        self.old_size = os.fstat(descriptor).st_size if end is None else end
        self.size = self.old_size
        self._limit = 1 << 62 if memory else self.old_size
        self._position = 0
        self._pages: dict[int, bytearray] = {}
        self._dirty: dict[int, tuple[int, int]] = {}
        self._fresh = bytearray()
        """What was written past the old end, and is not in the file yet."""
        self._base = self.old_size
        """Where it begins."""
        self._gathers = not memory

    def extents(self) -> list[tuple[int, bytes]]:
        """What was held back: (offset, bytes), ascending."""
        return [
            (page * _PAGE + a, bytes(self._pages[page][a:b])) for page, (a, b) in sorted(self._dirty.items())
        ]

    def settle(self) -> None:
        """Have in the file what lies past its old end.

        An error is kept in :attr:`error`, as that of any write.
        """
        if self.error is not None:
            return
        with memoryview(self._fresh)[: max(0, self.size - self._base)] as fresh:
            try:
                write_all(self.descriptor, fresh, self._base)
            except OSError as error:
                self.error = error
                return
        self._fresh, self._gathers = bytearray(), False

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
        if whence != os.SEEK_SET:
            offset += self.size if whence == os.SEEK_END else self._position
        self._position = offset
        return offset

    def tell(self) -> int:
        """The position of the next read or write."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from here; past the end it is zeros, as HDF5 expects of its drivers."""
        view = memoryview(buffer).cast("B")
        start, count = self._position, len(view)
        self._fill(view, start)
        if self._untrusted:
            hide_broken_heap(view, self.size - start, lambda size: self._bytes_at(start, size))
        self._position += count
        return count

    def _bytes_at(self, start: int, size: int) -> bytes:
        out = bytearray(size)
        self._fill(memoryview(out), start)
        return bytes(out)

    def _fill(self, view: memoryview, start: int) -> None:
        count = len(view)
        fresh = start - self._base
        if 0 <= fresh <= len(self._fresh) - count and self.error is None:
            view[:] = memoryview(self._fresh)[fresh : fresh + count]
            return
        data = os.pread(self.descriptor, count, start)
        view[: len(data)] = data
        view[len(data) :] = bytes(count - len(data))
        if self._fresh and start + count > self._base:
            a, b = max(start, self._base), min(start + count, self._base + len(self._fresh))
            if a < b:
                view[a - start : b - start] = self._fresh[a - self._base : b - self._base]
        # The page of the old end is held as a whole, but what lies past that end is not kept up there.
        end = start + count if self.error is not None else min(start + count, self._limit)
        if self._pages and start < end:
            for page in range(start // _PAGE, (end - 1) // _PAGE + 1):
                held = self._pages.get(page)
                if held is not None:
                    base = page * _PAGE
                    a, b = max(start, base), min(end, base + _PAGE)
                    view[a - start : b - start] = held[a - base : b - base]

    def write(self, data: Any) -> int:
        """Store ``data`` here: in the file past its old end, held back before it."""
        view = memoryview(data).cast("B")
        start, count = self._position, len(view)
        done = 0
        if start < self._limit:
            done = min(count, self._limit - start)
            self._hold(start, view[:done])
        if done < count and self._gathers and self.error is None:
            done += self._gather(start + done, view[done:])
        if done < count:
            self._store(start, view, done)
        self._position = end = start + count
        self.size = max(self.size, end)
        return count

    def _store(self, start: int, view: memoryview, done: int) -> None:
        try:
            while done < len(view) and self.error is None:
                done += os.pwrite(self.descriptor, view[done:], start + done)
        except OSError as error:
            # An exception would go through HDF5, which does not survive it: it is kept for the commit.
            self.error = error
        if done < len(view):
            self._hold(start + done, view[done:])

    def _gather(self, start: int, view: memoryview) -> int:
        """Take the beginning of a write past the old end into memory; returns how much."""
        at, end = start - self._base, start + len(view)
        if at < 0 or len(view) >= _LARGE:
            if end > self._base:
                self._let_go(end)
            return 0
        if at >= _GATHERED:
            return 0
        count = min(len(view), _GATHERED - at)
        fresh = self._fresh
        if at > len(fresh):
            fresh.extend(bytes(at - len(fresh)))
        fresh[at : at + count] = view[:count]
        return count

    def _let_go(self, end: int) -> None:
        """Have what was gathered in the file, and gather no more before ``end`` or anything that is there."""
        base, fresh = self._base, self._fresh
        self._base, self._fresh = max(end, self.size), bytearray()
        if fresh:
            self._store(base, memoryview(fresh), 0)

    def truncate(self, size: int | None = None) -> int:
        """Set the size; old bytes are cut only when the change is applied."""
        size = self._position if size is None else size
        if size > self._limit and self.error is None:
            try:
                if size > os.fstat(self.descriptor).st_size:
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
