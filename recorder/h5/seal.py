"""Checksums of object headers: compiled where that was built, else by NumPy, of many headers at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recorder.format import native

INTERFACE = 1
"""What ``_seal.c`` calls itself."""

_MANY = 8
"""Episodes of which NumPy seals one in less time than HDF5 makes one."""
_SIZE = 4
_Words = NDArray[np.uint32]


def _compiled() -> Callable[[bytearray, bytes], None] | None:
    if native.CHOICE == native.PYTHON:
        return None
    try:
        from recorder import _seal
    except ImportError:
        return None
    return _seal.seal if _seal.INTERFACE == INTERFACE else None


seal = _compiled()
"""Stores in the last four bytes of each block of a buffer a checksum; told the blocks' lengths, uint32."""


def worth_it(episodes: int) -> bool:
    """Whether so many episodes are sealed in less time than laying them out here saves."""
    return episodes > 0 if seal is not None else episodes >= _MANY


def seal_together(image: bytearray, blocks: list[tuple[int, int]]) -> None:
    """As :data:`seal`, of blocks anywhere in ``image``: (start, length)."""
    whole = np.frombuffer(image, np.uint8)
    starts, lengths = np.array(blocks, np.int64).T
    for length in np.unique(lengths):
        places = starts[lengths == length, None] + np.arange(length)
        sums = _lookup3(whole[places[:, :-_SIZE]])
        whole[places[:, -_SIZE:]] = sums.astype("<u4").view(np.uint8).reshape(-1, _SIZE)


def _lookup3(rows: NDArray[np.uint8]) -> _Words:
    """Jenkins' hash of each row, none empty; :func:`recorder.h5.superblock.lookup3` is that of one."""
    count, length = rows.shape
    padded = np.zeros((count, -(-length // 12) * 12), np.uint8)
    padded[:, :length] = rows
    words = np.ascontiguousarray(padded.view("<u4").T, np.uint32)
    a, b, c = (np.full(count, (0xDEADBEEF + length) & 0xFFFFFFFF, np.uint32) for _ in range(3))
    for at in range(0, len(words) - 3, 3):
        a, b, c = a + words[at], b + words[at + 1], c + words[at + 2]
        for k1, k2, k3 in ((4, 6, 8), (16, 19, 4)):
            a = (a - c) ^ _rotate(c, k1)
            c = c + b
            b = (b - a) ^ _rotate(a, k2)
            a = a + c
            c = (c - b) ^ _rotate(b, k3)
            b = b + a
    a, b, c = a + words[-3], b + words[-2], c + words[-1]
    c = (c ^ b) - _rotate(b, 14)
    a = (a ^ c) - _rotate(c, 11)
    b = (b ^ a) - _rotate(a, 25)
    c = (c ^ b) - _rotate(b, 16)
    a = (a ^ c) - _rotate(c, 4)
    b = (b ^ a) - _rotate(a, 14)
    last: _Words = (c ^ b) - _rotate(b, 24)
    return last


def _rotate(x: _Words, k: int) -> _Words:
    return x << np.uint32(k) | x >> np.uint32(32 - k)
