"""Chunks decoded outside HDF5, and a small store of those decoded last."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.unshuffle import unshuffle
from recorder.h5.pipeline import Pipeline
from recorder.h5.reading.dataset import StoredDataset, is_plain

KEPT_BYTES = 8 << 20

Select = int | slice | NDArray[np.intp] | None
"""Which part of the first row axis is wanted."""

Decoded = tuple[bytes, bool]
"""A chunk's bytes, and whether they are still shuffled: un-shuffling is left for the rows that are wanted."""


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """How the stored bytes of a chunk become an array."""

    dtype: np.dtype[Any]
    chunk: tuple[int, ...]
    pipeline: Pipeline

    @property
    def nbytes(self) -> int:
        """Decoded bytes of a chunk."""
        return self.pipeline.nbytes

    @classmethod
    def of(cls, dataset: Any) -> ChunkLayout | None:
        """The layout; None for what only HDF5's own read understands, or has nothing to check in."""
        chunk, dtype = dataset.chunks, dataset.dtype
        if chunk is None or dtype.hasobject:
            return None
        stored = isinstance(dataset, StoredDataset)
        pipeline = dataset.pipeline if stored else Pipeline.of(dataset)
        if pipeline is None or not pipeline.codes:
            return None
        if not (dataset.plain if stored else is_plain(dataset.id.get_type(), dtype)):
            return None
        return cls(dtype, chunk, pipeline)

    def decode(self, raw: bytes, mask: int) -> Decoded:
        """Undo the filters of a chunk as stored, but for the shuffle.

        Raises
        ------
        DamagedError
            It does not say what it must.
        """
        return self.pipeline.decode(raw, mask)

    def place(self, decoded: Decoded, lines: slice, select: Select, out: NDArray[Any]) -> None:
        """Copy the rows ``lines`` of a decoded chunk into ``out``."""
        data, shuffled = decoded
        if shuffled and select is None and out.flags.c_contiguous and out.size:
            first = lines.start * math.prod(self.chunk[1:])
            unshuffle(data, self.dtype.itemsize, first, out.reshape(-1).view(np.uint8))
            return
        self.put(decoded, lines if select is None else (lines, select), out)

    def put(self, decoded: Decoded, index: Any, out: NDArray[Any]) -> None:
        """Copy what ``index`` picks from a decoded chunk into ``out``."""
        data, shuffled = decoded
        if not shuffled:
            out[...] = np.frombuffer(data, self.dtype).reshape(self.chunk)[index]
            return
        width = self.dtype.itemsize
        planes = np.frombuffer(data, np.uint8).reshape(width, *self.chunk)
        if out.flags.c_contiguous:
            cells = out.view(np.uint8).reshape(*out.shape, width)
            for plane in range(width):
                cells[..., plane] = planes[plane][index]
            return
        part = np.empty(out.shape, self.dtype)
        self.put(decoded, index, part)
        out[...] = part


class KeptChunks:
    """Layouts, and the chunks decoded last, of an ended episode: small ranges often share a chunk.

    Parameters
    ----------
    file : h5py.File or None
        The file that holds all of them, where it may be read past HDF5.
    """

    def __init__(self, file: Any = None) -> None:
        self.file = file
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


def fetch(dataset: Any, nbytes: int, offset: tuple[int, ...]) -> tuple[bytes, int]:
    """The bytes of the chunk at ``offset`` as stored, and its filter mask; ``nbytes`` are a whole one's.

    Raises
    ------
    DamagedError
        There is no such chunk, or its bytes are not in the file.
    """
    try:
        # Of a chunk that is not there read_direct_chunk would not know the size, and allocate anything.
        info = dataset.id.get_chunk_info_by_coord(offset)
        if info.byte_offset is None or not info.size:
            raise OSError("it was never stored")
        if info.size > dataset.file.id.get_filesize():
            raise OSError(f"it claims {info.size:,} bytes")
        mask, raw = dataset.id.read_direct_chunk(offset)
    except (RuntimeError, OSError) as error:
        end = offset[0] + dataset.chunks[0] - 1
        raise DamagedError(f"{dataset.name}: rows {offset[0]} to {end} cannot be read: {error}") from error
    if mask == 0 and len(raw) == nbytes:
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
