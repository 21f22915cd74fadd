"""Chunk filters outside HDF5: shuffled, deflated bytes that HDF5's own filters read back.

The table below is where a codec is added: a name, HDF5's filter pipeline for a dataset (in
``h5/chunking.py``) and a function from a chunk's bytes to compressed bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_isal: Any
try:
    from isal import isal_zlib as _isal
except ImportError:
    # Platforms for which there is no build of ISA-L: zlib writes the same streams, more slowly.
    _isal = None

Codec = Callable[[NDArray[np.uint8], int], bytes]

UNFILTERED = 0xFFFFFFFF
"""HDF5's filter mask of a chunk that no filter touched."""


def shuffle(chunk: NDArray[Any]) -> NDArray[np.uint8]:
    """HDF5's byte shuffle: all first bytes, then all second bytes, and so on; 1-D uint8."""
    raw = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)
    width = chunk.dtype.itemsize
    if width == 1:
        return raw
    return np.ascontiguousarray(raw.reshape(-1, width).T).reshape(-1)


def unshuffle(raw: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """The inverse of :func:`shuffle`. Plane by plane, which is several times faster than a transpose."""
    if width == 1:
        return raw
    out = np.empty(raw.size, np.uint8)
    rows = raw.size // width
    for plane in range(width):
        out[plane::width] = raw[plane * rows : (plane + 1) * rows]
    return out


def deflate(raw: NDArray[np.uint8], level: int) -> bytes:
    """A zlib stream of ``raw``.

    ISA-L where it is installed: its levels end at 3 and its level 1 has the size of zlib's level 4 on
    these data, so HDF5's levels 1–5 map to 1, 6–7 to 2 and 8–9 to zlib, where size was asked for.
    """
    if _isal is not None and 0 < level <= 7:
        return bytes(_isal.compress(raw, 1 if level <= 5 else 2))
    return zlib.compress(raw.data, level)


def inflate(data: bytes, size: int) -> bytes:
    """The bytes of a zlib stream; its Adler-32 is checked.

    Raises
    ------
    zlib.error, isal.isal_zlib.error
    """
    if _isal is not None:
        return bytes(_isal.decompress(data, bufsize=size))
    return zlib.decompress(data, bufsize=size)


CODECS: dict[str, Codec] = {"gzip": deflate}
"""Filters applied outside HDF5, on any thread; all others run in HDF5's own pipeline."""


def encode_chunk(chunk: NDArray[Any], codec: str, level: int) -> tuple[bytes | NDArray[np.uint8], int]:
    """A whole chunk as HDF5 stores it, and its filter mask; stored raw where it would not shrink."""
    packed = CODECS[codec](shuffle(chunk), level)
    if len(packed) >= chunk.nbytes:
        return np.ascontiguousarray(chunk).reshape(-1).view(np.uint8), UNFILTERED
    return packed, 0
