"""Parts of reading archives: positions in an open file, headers of arrays, and what is broken."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from recorder.errors import DamagedError
from recorder.format.deflate import INFLATER

_PART = 1 << 22
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
    stream = io.BytesIO(data)
    form: Any = np.lib.format
    version = form.read_magic(stream)
    readers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
    if version not in readers:
        raise DamagedError(f"an array of version {version}")
    shape, fortran, dtype = readers[version](stream)
    return shape, fortran, dtype


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
