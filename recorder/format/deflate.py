"""Chunk filters outside HDF5: shuffled, deflated bytes that HDF5's own filters read back.

The table ``CODECS`` is where a codec is added: a name (HDF5's filter pipeline of it stands in
``h5/keywords.py``) and a function from a chunk's byte planes to compressed bytes. ``gzip`` at usual levels
is done by ``native/deflate.c`` where that was built, by threads that never wait for the interpreter.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format import native

_isal: Any
try:
    from isal import isal_zlib as _isal
except ImportError:
    # Platforms for which there is no build of ISA-L: zlib writes the same streams, more slowly.
    _isal = None

INFLATER: Any = _isal or zlib
"""The module whose ``decompress`` and ``decompressobj`` read deflate chunks."""
INFLATE_ERRORS: tuple[type[Exception], ...] = (zlib.error, INFLATER.error)
"""What it raises on bytes that are no whole zlib stream."""

Planes = NDArray[np.uint8]
"""(bytes of a value, values): all first bytes, then all second bytes, and so on."""

Codec = Callable[[Planes, np.dtype[Any], int], bytes]

UNFILTERED = 0xFFFFFFFF
"""HDF5's filter mask of a chunk that no filter touched."""

_SMALL = 1 << 14
_EMPTY, _NOISE = 0.05, 7.2
"""Bits a byte: below the one a plane costs nothing, above the other deflate gains nothing worth its time."""
_SAMPLES = 1024
_PROBE = 4096
_FASTEST_WITH_ISAL = 7
_NATIVE_LEVELS, _NATIVE_BYTES = 5, 1 << 31
_FLOATS_WORTH, _OTHERS_WORTH = 32, 256
"""A block that would save less than one part in so many is stored. Intervals come close to their entropy."""


def planes_of(chunk: NDArray[Any]) -> Planes:
    """HDF5's byte shuffle of a chunk."""
    raw = np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)
    return np.ascontiguousarray(raw.reshape(-1, chunk.dtype.itemsize).T)


def unshuffle(raw: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """The inverse of HDF5's shuffle, plane by plane: several times faster than a transpose."""
    if width == 1:
        return raw
    out = np.empty(raw.size, np.uint8)
    rows = raw.size // width
    for plane in range(width):
        out[plane::width] = raw[plane * rows : (plane + 1) * rows]
    return out


def deflate(planes: Planes, dtype: np.dtype[Any], level: int) -> bytes:
    """A zlib stream of byte planes.

    ISA-L where it is installed: its level 1 has the size of zlib's level 4 on these data, so levels 1–5
    map to 1 and 6–7 to 2; 8 and 9, where size was asked for, are zlib's. Floats are deflated plane by
    plane, each with a code of its own, and noise is stored: faster, and up to an eighth smaller. Intervals
    (uint32) are geometric, without repetitions worth looking for: Huffman codes and runs alone come
    closest to their entropy.
    """
    if _isal is None or not 0 < level <= _FASTEST_WITH_ISAL:
        return zlib.compress(planes.data, level)
    strength = 1 if level <= 5 else 2
    if planes.size < _SMALL or not (dtype.kind in "fc" or dtype == np.uint32):
        return bytes(_isal.compress(planes.data, strength))
    parts: list[Any] = [b"\x78\x01"]
    for span, bits in _spans(planes):
        if bits > _NOISE and dtype.kind in "fc" and _is_noise(span):
            parts += _stored(span)
            continue
        if dtype.kind in "fc" or bits <= _EMPTY:
            coder = _isal.compressobj(strength, _isal.DEFLATED, -15)
        else:
            coder = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_RLE)
        # A full flush ends the block on a byte, and the next plane begins a code of its own.
        parts += [coder.compress(span.data), coder.flush(zlib.Z_FULL_FLUSH)]
    parts += [b"\x03\x00", struct.pack(">I", _isal.adler32(planes.data))]
    return b"".join(parts)


def deflate_repeats(planes: Planes) -> bytes:
    """A zlib stream of byte planes in which whatever comes again within 32 KiB is found, in noise as well.

    Smaller than :func:`deflate`'s where rows are repeated, and larger where they are not.
    """
    if _isal is None:
        return zlib.compress(planes.data, 4)
    return bytes(_isal.compress(planes.data, 3))


def inflate(data: bytes, size: int) -> bytes:
    """The bytes of a zlib stream; its Adler-32 is checked.

    Raises
    ------
    zlib.error, isal.isal_zlib.error
    """
    return bytes(INFLATER.decompress(data, bufsize=size))


CODECS: dict[str, Codec] = {"gzip": deflate}
"""Filters applied outside HDF5, on any thread; all others run in HDF5's own pipeline."""

Stored = tuple[Any, int]
"""A chunk's bytes as they are stored (an object with a buffer), and its filter mask."""


def encode_chunk(chunk: NDArray[Any], codec: str, level: int) -> Stored:
    """A whole chunk as HDF5 stores it, and its filter mask.

    Deflated even where it does not shrink, by a few bytes more: the stream's Adler-32 is its checksum.
    """
    return begin_chunk([chunk], len(chunk), codec, level, later=False)()


def begin_chunk(
    parts: Sequence[NDArray[Any]], rows: int, codec: str, level: int, *, later: bool = True
) -> Callable[[], Stored]:
    """Begin to encode a chunk of so many rows, and return the function that waits for it.

    Parameters
    ----------
    parts : sequence of arrays
        The first rows, each ``(rows, ...)``, of one dtype and shape; the rest is zeros. They must stay as
        they are until the function has returned.
    later : bool
        Leave it to the threads of :func:`start`, where there are any and the encoder is compiled; else it is
        done here and now.
    """
    first = parts[0]
    row_bytes = first.dtype.itemsize * math.prod(first.shape[1:])
    compiled = codec == "gzip" and 0 < level <= _NATIVE_LEVELS and 0 < rows * row_bytes < _NATIVE_BYTES
    if native.MODULE is not None and compiled:
        given = tuple(part if part.ndim == 1 else np.ascontiguousarray(part) for part in parts)
        worth = _FLOATS_WORTH if first.dtype.kind in "fc" else _OTHERS_WORTH
        made = native.MODULE.encode(
            given, rows, row_bytes, first.dtype.itemsize, worth, later and native.THREADS > 0
        )
        return lambda: (made, 0)
    whole = joined(parts, rows)
    packed = CODECS[codec](planes_of(whole), whole.dtype, level)
    return lambda: (packed, 0)


def start() -> None:
    """Have threads encode the chunks that were begun."""
    if native.MODULE is not None and native.THREADS > 0:
        native.MODULE.start(native.THREADS)


def joined(parts: Sequence[NDArray[Any]], rows: int) -> NDArray[Any]:
    """The parts of a chunk as one array, with zeros for the rows that there are not."""
    if len(parts) == 1 and len(parts[0]) == rows:
        return parts[0]
    whole = np.zeros((rows, *parts[0].shape[1:]), parts[0].dtype)
    np.concatenate(parts, out=whole[: sum(map(len, parts))])
    return whole


def _spans(planes: Planes) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Planes with their entropy in bits a byte; neighbours that are empty as one."""
    bits = _entropies(planes)
    start = 0
    while start < len(planes):
        stop = start + 1
        while stop < len(planes) and bits[start] <= _EMPTY and bits[stop] <= _EMPTY:
            stop += 1
        yield planes[start:stop].reshape(-1), float(bits[start])
        start = stop


def _entropies(planes: Planes) -> NDArray[np.float64]:
    width, values = planes.shape
    sample = planes[:, :: max(1, values // _SAMPLES)].astype(np.intp)
    sample += 256 * np.arange(width)[:, None]
    counts = np.bincount(sample.reshape(-1), minlength=256 * width).reshape(width, 256)
    share = counts / sample.shape[1]
    surprise = np.log2(share, where=share > 0, out=np.zeros_like(share))
    return np.asarray(-(share * surprise).sum(axis=1))


def _is_noise(span: NDArray[np.uint8]) -> bool:
    # Bytes may be evenly distributed and repeat all the same, as those of a ramp do.
    middle = span[len(span) // 2 : len(span) // 2 + _PROBE]
    return len(_isal.compress(middle.data, 1)) > 0.97 * len(middle)


def _stored(span: NDArray[np.uint8]) -> Iterator[Any]:
    for start in range(0, len(span), 65_535):
        block = span[start : start + 65_535]
        yield struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF)
        yield block.data
