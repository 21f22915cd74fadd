"""Chunks of deflated rows, decoded outside HDF5, and a small store of those decoded last."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.deflate import INFLATER

KEPT_BYTES = 8 << 20
_FILTER_OF_HDF5 = {h5py.h5z.FILTER_SHUFFLE: "shuffle", h5py.h5z.FILTER_DEFLATE: "deflate"}

Select = int | slice | NDArray[np.intp] | None
"""Which part of the first row axis is wanted."""

Decoded = tuple[bytes, bool]
"""A chunk's bytes, and whether they are still shuffled: un-shuffling is left for the rows that are wanted."""


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """How the bytes of a chunk of shuffled and deflated rows become an array."""

    dtype: np.dtype[Any]
    chunk: tuple[int, ...]
    deflate: int
    shuffle: int | None
    """Positions in the filter pipeline, which are the bits of a chunk's filter mask."""

    @property
    def nbytes(self) -> int:
        """Decoded bytes of a chunk."""
        return math.prod(self.chunk) * self.dtype.itemsize

    @classmethod
    def of(cls, dataset: Any) -> ChunkLayout | None:
        """The layout, or None for what only HDF5's own read understands."""
        chunk, dtype = dataset.chunks, dataset.dtype
        if chunk is None or chunk[1:] != dataset.shape[1:] or dtype.kind not in "biufc" or not dtype.isnative:
            return None
        pipeline = dataset.id.get_create_plist()
        filters = [pipeline.get_filter(i) for i in range(pipeline.get_nfilters())]
        kinds = [_FILTER_OF_HDF5.get(code) for code, *_ in filters]
        if kinds not in (["deflate"], ["shuffle", "deflate"]):
            return None
        if kinds[0] == "shuffle" and filters[0][2][:1] != (dtype.itemsize,):
            return None
        if not dataset.id.get_type().equal(h5py.h5t.py_create(dtype, logical=True)):
            return None
        return cls(dtype, chunk, len(kinds) - 1, 0 if len(kinds) == 2 else None)

    def decode(self, raw: bytes, mask: int) -> Decoded:
        """Inflate a chunk as stored.

        Raises
        ------
        DamagedError
            It is not as long as it must be.
        zlib.error, isal.isal_zlib.error
        """
        data = raw if mask >> self.deflate & 1 else self._inflate(raw)
        if len(data) != self.nbytes:
            raise DamagedError(f"a chunk has {len(data)} bytes instead of {self.nbytes}")
        plain = self.shuffle is None or mask >> self.shuffle & 1 or self.dtype.itemsize == 1
        return data, not plain

    def place(self, decoded: Decoded, lines: slice, select: Select, out: NDArray[Any]) -> None:
        """Copy the rows ``lines`` of a decoded chunk into ``out``, byte plane by byte plane."""
        data, shuffled = decoded
        index: Any = lines if select is None else (lines, select)
        if not shuffled:
            out[...] = np.frombuffer(data, self.dtype).reshape(self.chunk)[index]
            return
        width = self.dtype.itemsize
        planes = np.frombuffer(data, np.uint8).reshape(width, *self.chunk)
        cells = out.view(np.uint8).reshape(*out.shape, width)
        for plane in range(width):
            cells[..., plane] = planes[plane][index]

    def _inflate(self, raw: bytes) -> bytes:
        # One byte more than there may be: a bomb ends here, and a stream that ends has its Adler-32 checked.
        stream = INFLATER.decompressobj()
        data = stream.decompress(raw, self.nbytes + 1)
        if len(data) != self.nbytes or not stream.eof:
            raise DamagedError(f"a chunk inflates to {len(data)} bytes or more instead of {self.nbytes}")
        return bytes(data)


class KeptChunks:
    """Layouts, and the chunks decoded last, of an ended episode: small ranges often share a chunk."""

    def __init__(self) -> None:
        self._layouts: dict[str, ChunkLayout | None] = {}
        self._chunks: OrderedDict[tuple[str, int], Decoded] = OrderedDict()
        self._nbytes = 0

    def layout(self, dataset: Any) -> ChunkLayout | None:
        """As :meth:`ChunkLayout.of`, found once."""
        name = dataset.name
        if name not in self._layouts:
            self._layouts[name] = ChunkLayout.of(dataset)
        return self._layouts[name]

    def get(self, name: str, row: int) -> Decoded | None:
        """The chunk of the dataset ``name`` that begins at ``row``."""
        return self._chunks.get((name, row))

    def put(self, name: str, row: int, decoded: Decoded) -> None:
        """Keep a chunk, and drop the oldest beyond ``KEPT_BYTES``."""
        if len(decoded[0]) > KEPT_BYTES // 2 or (name, row) in self._chunks:
            return
        self._chunks[name, row] = decoded
        self._nbytes += len(decoded[0])
        while self._nbytes > KEPT_BYTES and self._chunks:
            self._nbytes -= len(self._chunks.popitem(last=False)[1][0])


def fetch(dataset: Any, layout: ChunkLayout, row: int) -> tuple[bytes, int]:
    """The bytes of the chunk that begins at ``row`` as stored, and its filter mask.

    Raises
    ------
    DamagedError
        There is no such chunk, or its bytes are not in the file.
    """
    offset = (row, *(0 for _ in layout.chunk[1:]))
    try:
        mask, raw = dataset.id.read_direct_chunk(offset)
    except (RuntimeError, OSError) as error:
        end = row + layout.chunk[0] - 1
        raise DamagedError(f"{dataset.name}: rows {row} to {end} cannot be read: {error}") from error
    if mask == 0 and len(raw) == layout.nbytes:
        mask = _mask_in_index(dataset, offset)
    return raw, mask


def _mask_in_index(dataset: Any, offset: tuple[int, ...]) -> int:
    """The filter mask of a chunk, from the index of chunks.

    Where this process has just stored the chunk unfiltered through the same dataset, HDF5 2.0 answers
    ``read_direct_chunk`` with the chunk's bytes and the mask 0. Such a chunk has just its raw length.
    """
    masks = []

    def look(chunk: Any) -> bool | None:
        if chunk.chunk_offset != offset:
            return None
        masks.append(int(chunk.filter_mask))
        return True

    dataset.id.chunk_iter(look)
    return masks[0] if masks else 0
