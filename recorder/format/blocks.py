"""One raw deflate stream in blocks that can be inflated singly; any inflater reads the whole.

Each block ends on a byte, and none refers to the one before it. A stream ends with :data:`END`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from recorder.errors import DamagedError
from recorder.format.deflate import INFLATE_ERRORS, INFLATER

END = b"\x03\x00"
_RAW = -15
_LEVEL = 1
_SAMPLE = 1 << 14
_WORTH = 0.875
"""A block that keeps more of its bytes is stored: inflating it would take longer than reading it."""
_MOST_STORED = 65_535


def encode_block(raw: memoryview) -> bytes:
    """A block of the stream.

    Parameters
    ----------
    raw : memoryview of bytes
        What it says.
    """
    middle = raw[len(raw) // 2 :][:_SAMPLE]
    if len(middle) == _SAMPLE and len(zlib.compress(middle, _LEVEL)) > _WORTH * _SAMPLE:
        return b"".join(_stored(raw))
    coder = INFLATER.compressobj(_LEVEL, INFLATER.DEFLATED, _RAW)
    # A full flush ends the block on a byte and forgets what came before it.
    return bytes(coder.compress(raw) + coder.flush(INFLATER.Z_FULL_FLUSH))


def _stored(raw: memoryview) -> Iterator[Any]:
    for start in range(0, len(raw), _MOST_STORED):
        part = raw[start : start + _MOST_STORED]
        yield struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF)
        yield part


def decode_block(block: bytes, size: int) -> bytes:
    """What a block says.

    Raises
    ------
    DamagedError
        It does not say ``size`` bytes.
    """
    try:
        raw = bytes(INFLATER.decompressobj(_RAW).decompress(block, size))
    except INFLATE_ERRORS as error:
        raise DamagedError(f"a block cannot be inflated: {error}") from error
    if len(raw) != size:
        raise DamagedError(f"a block says {len(raw):,} bytes instead of {size:,}")
    return raw
