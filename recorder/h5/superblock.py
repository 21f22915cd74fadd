"""The 48-byte version-3 superblock: what a killed SWMR writer leaves stale in it, and its mend.

Layout and checksum from the HDF5 file format specification, version 3.0, section II.A; lookup3 is
Bob Jenkins' hash (2006, public domain), as HDF5 uses it.
"""

from __future__ import annotations

import os
import struct

from recorder.errors import DamagedError
from recorder.h5.disk import write_all

SIZE = 48
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FLAGS, _END, _CHECKSUM = 11, 28, 44
_MASK = 0xFFFFFFFF


def write_open(descriptor: int, end: int) -> None:
    """Say in the file that nobody writes it and that it ends at ``end``; one small write."""
    write_all(descriptor, _amended(_read(descriptor), end), 0)


def reaching(descriptor: int, end: int) -> bytes:
    """The file's superblock, with another end.

    Raises
    ------
    DamagedError
        The file does not begin with a version-3 superblock.
    """
    return _amended(_read(descriptor), end)


def is_extended(descriptor: int) -> bool:
    """Whether more of the superblock stands elsewhere, as in files whose space is kept in pages."""
    return _read(descriptor)[20:28] != b"\xff" * 8


def end_of(descriptor: int) -> int:
    """Where the file ends for HDF5: as its superblock says, if that is true, or where it does end.

    Raises
    ------
    DamagedError
        The file does not begin with a version-3 superblock.
    """
    return _end(_read(descriptor), os.fstat(descriptor).st_size)


def mended(block: bytes, size: int) -> bytes:
    """The superblock with which every HDF5 opens the file: flags 0, and an end that is there.

    Raises
    ------
    DamagedError
        The file does not begin with a version-3 superblock.
    """
    _check(block)
    return _amended(block, _end(block, size))


def _end(block: bytes, size: int) -> int:
    # With its flags set, HDF5 was at work, and the end is the one from before.
    (end,) = struct.unpack_from("<Q", block, _END)
    return int(end) if not block[_FLAGS] and end <= size else size


def _read(descriptor: int) -> bytes:
    block = os.pread(descriptor, SIZE, 0)
    _check(block)
    return block


def _check(block: bytes) -> None:
    if len(block) < SIZE or block[:8] != _SIGNATURE or block[8] != 3:
        raise DamagedError("the file does not begin with a version-3 HDF5 superblock")
    if lookup3(block[:_CHECKSUM]) != int.from_bytes(block[_CHECKSUM:SIZE], "little"):
        raise DamagedError("the HDF5 superblock fails its checksum")


def _amended(block: bytes, end: int) -> bytes:
    out = bytearray(block)
    out[_FLAGS] = 0
    struct.pack_into("<Q", out, _END, end)
    struct.pack_into("<I", out, _CHECKSUM, lookup3(bytes(out[:_CHECKSUM])))
    return bytes(out)


def _rotate(x: int, k: int) -> int:
    return (x << k | x >> (32 - k)) & _MASK


def lookup3(data: bytes) -> int:
    """Jenkins' lookup3 ``hashlittle`` with seed 0, HDF5's metadata checksum."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    at = 0
    while len(data) - at > 12:
        x, y, z = struct.unpack_from("<III", data, at)
        a, b, c = (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK
        for k1, k2, k3 in ((4, 6, 8), (16, 19, 4)):
            a = (a - c) & _MASK ^ _rotate(c, k1)
            c = (c + b) & _MASK
            b = (b - a) & _MASK ^ _rotate(a, k2)
            a = (a + c) & _MASK
            c = (c - b) & _MASK ^ _rotate(b, k3)
            b = (b + a) & _MASK
        at += 12
    rest = data[at:]
    if not rest:
        return c
    x, y, z = struct.unpack("<III", rest.ljust(12, b"\0"))
    a, b, c = (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK
    c = ((c ^ b) - _rotate(b, 14)) & _MASK
    a = ((a ^ c) - _rotate(c, 11)) & _MASK
    b = ((b ^ a) - _rotate(a, 25)) & _MASK
    c = ((c ^ b) - _rotate(b, 16)) & _MASK
    a = ((a ^ c) - _rotate(c, 4)) & _MASK
    b = ((b ^ a) - _rotate(a, 14)) & _MASK
    return int(((c ^ b) - _rotate(b, 24)) & _MASK)
