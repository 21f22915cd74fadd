"""Parts of reading archives: positions in an open file, headers of arrays, and what is broken."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np

from recorder.errors import DamagedError
from recorder.format.deflate import INFLATER

_PART = 1 << 22
# As NumPy writes it. Its own reader goes through ast, which fails now and then where several threads do so
# (Python 3.11, python/cpython#106905).
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<f[248])', 'fortran_order': (True|False), "
    rb"'shape': \(([0-9, ]{1,99})\), \} *\n",
    re.DOTALL,
)
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
)
"""What zipfile and NumPy raise on bytes that are no archive."""


class Apart(io.RawIOBase):
    """A position of its own in an open file: descriptors that threads share have only one."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor, self._place = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset += os.fstat(self._descriptor).st_size
        self._place = offset + (self._place if whence == os.SEEK_CUR else 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        got = os.preadv(self._descriptor, [buffer], self._place)
        self._place += got
        return got


class Inflating:
    """A member of an archive in an open file, read from its start; its CRC-32 is compared at its end."""

    def __init__(self, descriptor: int, start: int, info: zipfile.ZipInfo) -> None:
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DamagedError(
                f"{info.filename} has compression {info.compress_type}, which NumPy never writes"
            )
        self._descriptor, self._place, self._info = descriptor, start, info
        self._left, self._waiting, self._done, self._crc = info.compress_size, b"", 0, 0
        self._inflater: Any = None
        if info.compress_type == zipfile.ZIP_DEFLATED:
            self._inflater = INFLATER.decompressobj(-15)

    def read(self, size: int) -> bytes:
        """Some bytes, no more than ``size``; none at the end.

        Raises
        ------
        DamagedError, isal.isal_zlib.error, zlib.error
        """
        while not self._ended():
            if not self._waiting and self._left:
                self._waiting = os.pread(self._descriptor, min(_PART, self._left), self._place)
                if not self._waiting:
                    break
                self._left -= len(self._waiting)
                self._place += len(self._waiting)
            part = self._part(size)
            if part:
                self._done += len(part)
                self._crc = INFLATER.crc32(part, self._crc)
                return part
            if not self._waiting and not self._left and not self._ended():
                break
        if self._done != self._info.file_size or self._crc != self._info.CRC:
            raise DamagedError(f"{self._info.filename} is cut off, or has another CRC-32")
        return b""

    def _ended(self) -> bool:
        if self._inflater is not None:
            return bool(self._inflater.eof)
        return not self._waiting and not self._left

    def _part(self, size: int) -> bytes:
        if self._inflater is None:
            part, self._waiting = self._waiting[:size], self._waiting[size:]
            return part
        part = bytes(self._inflater.decompress(self._waiting, size))
        self._waiting = self._inflater.unconsumed_tail
        return part


class damage(contextlib.AbstractContextManager[None]):  # noqa: N801 - used as a verb
    """Turn what broken archives raise into a :class:`DamagedError` that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, DamagedError) and str(error).startswith(str(self._path)):
            return
        if isinstance(error, (*_BROKEN, INFLATER.error)):
            reason = str(error) or type(error).__name__
            raise DamagedError(f"{self._path}: {reason}") from error


def array_header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran's order, and dtype, from the beginning of a ``.npy``."""
    found = _HEADER.match(data)
    if found:
        shape = tuple(int(part) for part in found[3].split(b",") if part.strip())
        return shape, found[2] == b"True", np.dtype(found[1].decode())
    stream, form = io.BytesIO(data), cast("Any", np.lib.format)
    readers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    version = form.read_magic(stream)
    if version not in readers:
        raise DamagedError(f"an array of version {version}")
    return cast("tuple[tuple[int, ...], bool, np.dtype[Any]]", readers[version](stream))


def exactly(stream: Any, size: int) -> bytes:
    """So many bytes of a stream, or a DamagedError."""
    parts, left = [], size
    while left:
        part = stream.read(min(left, _PART))
        if not part:
            raise DamagedError("an array ends early")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
