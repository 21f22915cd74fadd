"""A new ``dataset.h5``, from arrays that need not be in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.errors import OptionError
from recorder.format.deflate import deflate_repeats, encode_chunk, planes_of
from recorder.format.embeddings import (
    CONFIG,
    FIELDS,
    KEYWORD_GROUP,
    OFFSETS,
    SPLIT_GROUP,
    STEERINGS,
    VALUES,
)
from recorder.h5.columns import chunk_shape
from recorder.h5.draft import draft_file
from recorder.h5.embeddings.keywords import Lists
from recorder.h5.keywords import filter_keywords
from recorder.h5.reading.together import together

COMPRESSIONS = ("gzip", "lzf", None)

CHUNK_BYTES = 1 << 16
"""What is inflated to see one row: little, as negatives are drawn from anywhere."""
STEERING_BYTES = 1 << 18
"""Centroids come again from pair to pair, the more often the more pairs a chunk has."""
_BLOCK = 16 << 20
_LEVEL = 4
_ALIGNED_FROM = _ALIGNMENT = 64
"""Bytes: what is mapped is read as it stands, and HDF5 does not gather small data by itself in a draft."""

Advance = Callable[[int], Any]


def check_compression(compression: str | None) -> None:
    """Refuse a compression that datasets are not written with.

    Raises
    ------
    OptionError
    """
    if compression not in COMPRESSIONS:
        raise OptionError(f"compression must be 'gzip', 'lzf' or None, got {compression!r}")


class EmbeddingWriter:
    """A file that is being made, a context manager; the caller puts it in place once it is whole.

    Parameters
    ----------
    path : Path
        Overwritten.
    compression : "gzip", "lzf" or None
        Behind a byte shuffle; splits are never compressed.
    advance : callable
        Told how many more bytes have been stored.

    Raises
    ------
    OptionError
        Another compression.
    WriteError
        The disk is full.
    """

    def __init__(self, path: Path, compression: str | None, advance: Advance) -> None:
        check_compression(compression)
        self._gzip, self._advance = compression == "gzip", advance
        self._keywords = filter_keywords(compression, None)
        self._draft = draft_file(path, alignment_threshold=_ALIGNED_FROM, alignment_interval=_ALIGNMENT)

    def __enter__(self) -> Self:
        self._file, self._step = self._draft.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file."""
        self._draft.__exit__(kind, error, trace)

    def fields(self, stems: Iterator[str] | list[str], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Store these fields."""
        for stem in stems:
            most = STEERING_BYTES if stem in STEERINGS else CHUNK_BYTES
            self._put(FIELDS[stem].path, arrays[stem], most)

    def keyword_lists(self, lists: Lists) -> None:
        """Store the keyword lists; values as int32 where that holds them."""
        values, offsets = lists
        small = not values.size or values.max() <= np.iinfo(np.int32).max
        self._put(f"{KEYWORD_GROUP}/{VALUES}", values.astype(np.int32) if small else values, CHUNK_BYTES)
        self._put(f"{KEYWORD_GROUP}/{OFFSETS}", offsets, CHUNK_BYTES)

    def splits(self, splits: Mapping[str, NDArray[Any]]) -> None:
        """Store the splits, uncompressed."""
        for name, pairs in splits.items():
            self._file.create_dataset(f"{SPLIT_GROUP}/{name}", data=pairs)
            self._stored(pairs.nbytes)

    def config(self, text: str) -> None:
        """Store the text of the configuration."""
        raw = text.encode("utf-8")
        kind = h5py.string_dtype("utf-8", max(len(raw), 1))
        self._file.create_dataset(CONFIG, data=np.array(raw, kind), dtype=kind)

    def _stored(self, nbytes: int) -> None:
        self._step()
        self._advance(nbytes)

    def _put(self, path: str, array: NDArray[Any], most: int) -> None:
        if not self._keywords or not array.size:
            dataset = self._file.create_dataset(path, array.shape, array.dtype)
        else:
            chunk = chunk_shape(array.shape, array.dtype.itemsize, most)
            dataset = self._file.create_dataset(
                path, array.shape, array.dtype, chunks=chunk, **self._keywords
            )
            if self._gzip and chunk[1:] == array.shape[1:]:
                self._deflate(dataset, array, chunk)
                return
        rows = max(1, _BLOCK // max(1, math.prod(array.shape[1:]) * array.dtype.itemsize))
        if dataset.chunks:
            rows = -(-rows // dataset.chunks[0]) * dataset.chunks[0]
        for start in range(0, len(array) if array.size else 0, rows):
            part = array[start : start + rows]
            dataset[start : start + rows] = part
            self._stored(part.nbytes)

    def _deflate(self, dataset: Any, array: NDArray[Any], chunk: tuple[int, ...]) -> None:
        """Chunks deflated outside HDF5, several at a time."""
        width = math.prod(chunk) * array.dtype.itemsize
        step = chunk[0] * max(1, _BLOCK // width)
        for start in range(0, len(array), step):
            stop = min(start + step, len(array))
            starts = range(start, stop, chunk[0])
            packed: dict[int, bytes] = {}

            def pack(first: int, packed: dict[int, bytes] = packed) -> None:
                packed[first] = _smallest(_padded(array[first : first + chunk[0]], chunk))

            together(pack, starts)
            for first in starts:
                dataset.id.write_direct_chunk((first, *(0,) * (array.ndim - 1)), packed[first], 0)
            self._stored(array[start:stop].nbytes)


def _padded(part: NDArray[Any], chunk: tuple[int, ...]) -> NDArray[Any]:
    whole = np.zeros(chunk, part.dtype)
    whole[: len(part)] = part
    return whole


def _smallest(chunk: NDArray[Any]) -> bytes:
    packed = bytes(encode_chunk(chunk.reshape(-1), "gzip", _LEVEL)[0])
    if chunk.dtype.kind != "f" or chunk.ndim == 1:
        return packed
    return min(packed, deflate_repeats(planes_of(chunk)), key=len)
