"""How a recording's streams are cut into chunks, and who filters them: this process or HDF5."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.deflate import CODECS, UNFILTERED, Stored, begin_chunk, encode_chunk, joined
from recorder.h5.keywords import filter_keywords

MAX_CHUNK_BYTES = 1 << 20
"""A chunk is what a reader inflates to see one value; beyond this, larger chunks gain nothing."""


_SZIP_PIXELS = 32
_REPEATED = 1 << 13
"""Bytes of a chunk of timesteps whose encoded form is remembered."""


@dataclass(frozen=True, slots=True)
class Chunking:
    """The filter of a recording's streams, and rows per chunk, bounded by ``MAX_CHUNK_BYTES``."""

    name: str | None
    level: int
    chunk_size: int
    keywords: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, compression: str | None, level: int | None, chunk_size: int) -> Chunking:
        """Resolve a filter's name.

        Raises
        ------
        OptionError
            A filter that this build of HDF5 cannot write, or a level it does not take.
        """
        return cls(
            compression, 4 if level is None else level, chunk_size, filter_keywords(compression, level)
        )

    @classmethod
    def of_recording(cls, attributes: Mapping[str, Any]) -> Chunking:
        """That of a recording with these root attributes."""
        name, level = attributes.get("compression", "none"), attributes.get("compression_level")
        return cls.of(
            None if name == "none" else str(name),
            None if level is None else int(level),
            int(attributes.get("chunk_size", 10_000)),
        )

    def chunk_rows(self, row_bytes: int) -> int:
        """Rows of a chunk, where a row has this many bytes."""
        return max(1, min(self.chunk_size, MAX_CHUNK_BYTES // max(1, row_bytes)))

    def keywords_for(self, dtype: np.dtype[Any], elements: int) -> dict[str, Any]:
        """``create_dataset``'s keywords; no filter where HDF5 would refuse to apply this one.

        szip takes neither complex numbers nor booleans, and no chunk below its block of pixels.
        """
        if self.name == "szip" and (dtype.kind in "cb" or elements < _SZIP_PIXELS):
            return {}
        return self.keywords

    @property
    def outside(self) -> bool:
        """Whether chunks are encoded outside HDF5, without its lock."""
        return self.name is None or self.name in CODECS

    def encode(self, chunk: NDArray[Any]) -> Stored:
        """A whole chunk as stored bytes, and its filter mask; only where :attr:`outside`."""
        if self.name is None:
            return _bytes_of(chunk), UNFILTERED
        return encode_chunk(chunk, self.name, self.level)

    def begin(self, parts: Sequence[NDArray[Any]], rows: int) -> Callable[[], Stored]:
        """As :meth:`encode`, of a chunk in parts: see :func:`recorder.format.deflate.begin_chunk`."""
        if self.name is None:
            raw = joined(parts, rows)
            return lambda: (_bytes_of(raw), UNFILTERED)
        return begin_chunk(parts, rows, self.name, self.level)

    def encode_again(self, chunk: NDArray[Any]) -> Stored:
        """As :meth:`encode`, the very same result for small chunks of int64 that have just been encoded.

        Why: short episodes count the same timesteps, in several groups each.
        """
        if self.name is None or chunk.dtype != np.int64 or chunk.nbytes > _REPEATED:
            return self.encode(chunk)
        return _encoded(self.name, self.level, chunk.tobytes(), chunk.shape)


def _bytes_of(chunk: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(chunk).reshape(-1).view(np.uint8)


@lru_cache(maxsize=64)
def _encoded(name: str, level: int, rows: bytes, shape: tuple[int, ...]) -> Stored:
    data, mask = encode_chunk(np.frombuffer(rows, np.int64).reshape(shape), name, level)
    return bytes(data), mask
