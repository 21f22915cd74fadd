"""Fletcher-32 as HDF5's filter computes it, over bytes as they are stored."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

SIZE = 4
_MODULUS = 65_535
_BLOCK = 1 << 16
"""Words summed at a time: their weighted sum stays within 64 bits."""


def fletcher32(data: Any) -> int:
    """The checksum of some bytes: two sums of their big-endian 16-bit words, modulo 65535.

    HDF5 folds its sums by adding the carry, which never turns a sum that is not zero into zero: it
    says 65535 there.
    """
    raw = np.frombuffer(data, np.uint8)
    if raw.size % 2:
        raw = np.append(raw, np.uint8(0))
    words = raw.view(">u2")
    first = second = 0
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK].astype(np.uint64)
        weights = np.arange(len(block), 0, -1, dtype=np.uint64)
        second += len(block) * first + int(block @ weights)
        first += int(block.sum())
    return _folded(second) << 16 | _folded(first)


def with_checksum(data: Any) -> bytes:
    """The bytes followed by their checksum, little endian: what HDF5 stores."""
    return bytes(data) + struct.pack("<I", fletcher32(data))


def checked(data: bytes) -> bytes | None:
    """The bytes without the checksum at their end; None where it is not theirs."""
    if len(data) < SIZE:
        return None
    (stored,) = struct.unpack("<I", data[-SIZE:])
    return data[:-SIZE] if stored == fletcher32(memoryview(data)[:-SIZE]) else None


def _folded(total: int) -> int:
    rest = total % _MODULUS
    return _MODULUS if total and not rest else rest
