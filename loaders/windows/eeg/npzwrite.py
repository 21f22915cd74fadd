"""Writing a plain ``.npz`` row by row, in blocks of rows that can be read singly.

``np.load`` opens it as any other. Where the blocks begin stands in the directory of the archive, in an extra
field of ours that other readers skip; see note 0027 and :mod:`loaders.windows.eeg.npzread`.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from recorder.format.blocks import END, encode_block
from recorder.format.deflate import INFLATER

EXTRA_ID = 0x5246
"""Of the extra field: "FR"."""
EXTRA_HEAD = struct.Struct("<HHIII")
"""Version, 0, rows of a block, bytes of the first block (the header of the array), its CRC-32."""
EXTRA_BLOCK = struct.Struct("<II")
"""Stored bytes of a block, and the CRC-32 of what it says."""
VERSION = 1
MOST_BLOCKS = 8000
"""An extra field has 65,535 bytes."""
MOST_COMMENT = 65_535

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_DEFLATED, _NEEDS, _DAY = 8, 45, 0x21
_MOST_32 = 0xFFFFFFFF
WIDE_FROM = _MOST_32
"""Bytes from which on the directory has 64-bit numbers; heads of arrays always have, as NumPy's."""


class NpzWriter:
    """An archive being written; whole once the ``with`` block is left without an exception.

    Parameters
    ----------
    path : Path
        A file of that name is written over.
    comment : str
        Kept in the archive, where ``zipfile`` shows it.
    """

    def __init__(self, path: Path, comment: str) -> None:
        self._comment = comment.encode()
        if len(self._comment) > MOST_COMMENT:
            raise ValueError(
                f"a comment of an archive has {MOST_COMMENT:,} bytes, not {len(self._comment):,}"
            )
        self._file: BinaryIO = path.open("wb")
        self._directory: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._finish()

    def write(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], rows: Iterable[NDArray[Any]]
    ) -> None:
        """An array of ``shape``, from as many rows ``shape[1:]``; several may be kept for a while.

        Raises
        ------
        ValueError
            There are more rows, or fewer.
        """
        start, member = self._file.tell(), f"{name}.npy".encode()
        header = _header(shape, dtype)
        plain = len(header) + math.prod(shape) * dtype.itemsize
        # In 64 bits: what the blocks will take is known only afterwards.
        self._file.write(_local(member, 0, 0, 0))
        block = encode_block(memoryview(header))
        self._file.write(block)
        crc = INFLATER.crc32(header)
        step = max(1, -(-shape[0] // MOST_BLOCKS))
        extra = [EXTRA_HEAD.pack(VERSION, 0, step, len(block), crc)]
        stored, done, waiting = len(block), 0, []
        for row in rows:
            waiting.append(row.reshape(-1).view(np.uint8).data)
            done += 1
            if len(waiting) < step and done < shape[0]:
                continue
            raw = waiting[0] if step == 1 else memoryview(b"".join(waiting))
            block = encode_block(raw)
            self._file.write(block)
            crc = INFLATER.crc32(raw, crc)
            extra.append(EXTRA_BLOCK.pack(len(block), INFLATER.crc32(raw)))
            stored += len(block)
            waiting = []
        if done != shape[0]:
            raise ValueError(f"{name}: {done} rows instead of {shape[0]}")
        self._file.write(END)
        stored += len(END)
        self._file.seek(start)
        self._file.write(_local(member, crc, stored, plain))
        self._file.seek(0, io.SEEK_END)
        self._directory.append(_central(member, crc, stored, plain, start, b"".join(extra)))

    def _finish(self) -> None:
        start = self._file.tell()
        directory = b"".join(self._directory)
        count, end = len(self._directory), start + len(directory)
        self._file.write(directory)
        if end >= WIDE_FROM:
            size = _END_64.size - 12
            self._file.write(
                _END_64.pack(b"PK\x06\x06", size, _NEEDS, _NEEDS, 0, 0, count, count, len(directory), start)
            )
            self._file.write(_LOCATOR_64.pack(b"PK\x06\x07", 0, end, 1))
            start = _MOST_32
        self._file.write(
            _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), start, len(self._comment))
        )
        self._file.write(self._comment)


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    out = io.BytesIO()
    form: Any = np.lib.format
    described = {"descr": form.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    form.write_array_header_1_0(out, described)
    return out.getvalue()


def _local(name: bytes, crc: int, stored: int, plain: int) -> bytes:
    wide = struct.pack("<2H2Q", 1, 16, plain, stored)
    return (
        _LOCAL.pack(
            b"PK\x03\x04", _NEEDS, 0, _DEFLATED, 0, _DAY, crc, _MOST_32, _MOST_32, len(name), len(wide)
        )
        + name
        + wide
    )


def _central(name: bytes, crc: int, stored: int, plain: int, start: int, ours: bytes) -> bytes:
    extra, fields = b"", (stored, plain, start)
    if max(fields) >= WIDE_FROM:
        extra, fields = struct.pack("<2H3Q", 1, 24, plain, stored, start), (_MOST_32,) * 3
    extra += struct.pack("<2H", EXTRA_ID, len(ours)) + ours
    return (
        _CENTRAL.pack(
            b"PK\x01\x02",
            _NEEDS,
            _NEEDS,
            0,
            _DEFLATED,
            0,
            _DAY,
            crc,
            *fields[:2],
            len(name),
            len(extra),
            0,
            0,
            0,
            0,
            fields[2],
        )
        + name
        + extra
    )
