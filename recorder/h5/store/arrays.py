"""Arrays of a store: chunked, filtered, every chunk with its Fletcher-32; read back outside HDF5."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from h5py import h5a, h5d, h5s
from numpy.typing import NDArray

from recorder.admission import MAX_DIMENSIONS, as_array, describe
from recorder.errors import DamagedError, StreamShapeError
from recorder.format.deflate import CODECS, encode_chunk
from recorder.format.fletcher import with_checksum
from recorder.format.storage import SCALAR
from recorder.h5 import make
from recorder.h5.chunking import MAX_CHUNK_BYTES
from recorder.h5.columns import chunk_shape
from recorder.h5.keywords import filter_keywords
from recorder.h5.reading.budget import check_size
from recorder.h5.reading.chunks import ChunkLayout
from recorder.h5.reading.dataset import StoredDataset
from recorder.h5.reading.guard import damage
from recorder.h5.reading.rows import read_whole
from recorder.h5.store.handle import Handle

_LARGE = 1 << 15
"""Bytes of a chunk from which deflating outside HDF5 is worth its calls."""
_SZIP_PIXELS = 32
_OURS = ("compression", "compression_opts", "fletcher32", "shuffle")


@dataclass(frozen=True, slots=True)
class Filters:
    """How the arrays of a store are cut and filtered.

    Attributes
    ----------
    name : str or None
        As ``compression`` of the store.
    level : int or None
    chunk_size : int
        At most so many along each axis of a chunk.
    """

    name: str | None
    level: int | None
    chunk_size: int
    keywords: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, name: str | None, level: int | None, chunk_size: int) -> Filters:
        """Resolve a filter's name.

        Raises
        ------
        OptionError
            A filter that this HDF5 cannot write.
        """
        return cls(name, level, chunk_size, {**filter_keywords(name, level), "fletcher32": True})

    def keywords_for(self, dtype: np.dtype[Any], elements: int) -> dict[str, Any]:
        """``create_dataset``'s keywords, without a filter that HDF5 would refuse to apply."""
        if self.name == "szip" and (dtype.kind in "cb" or elements < _SZIP_PIXELS):
            return {"fletcher32": True}
        return self.keywords


def admit(where: str, value: Any) -> NDArray[Any]:
    """``value`` as an array to be stored, of any shape; see :func:`recorder.admission.as_array`.

    Raises
    ------
    StreamTypeError, StreamShapeError
        It is none; nothing was stored.
    """
    array = as_array(where, None, value)
    if array.ndim > MAX_DIMENSIONS:
        raise StreamShapeError(where, f"at most {MAX_DIMENSIONS} dimensions", describe(array))
    return array


def put(parent: Any, name: str, array: NDArray[Any], filters: Filters) -> Any:
    """Store an array as a new dataset; returns its low-level id.

    One without dimensions is stored as one value, because only chunks have checksums.
    """
    rows = array if array.shape else array.reshape(1)
    sizes = tuple(min(n, filters.chunk_size) for n in rows.shape)
    chunk = chunk_shape(sizes, rows.dtype.itemsize, MAX_CHUNK_BYTES)
    keywords = filters.keywords_for(rows.dtype, math.prod(chunk))
    dataset = make.fixed(parent, name.encode(), rows.dtype, rows.shape, chunk, keywords)
    if not array.shape:
        make.attribute(dataset, SCALAR, np.bool_(True))
    if rows.size:
        _write(dataset, rows, chunk, filters)
    return dataset


def _write(dataset: Any, rows: NDArray[Any], chunk: tuple[int, ...], filters: Filters) -> None:
    level = filters.level
    outside = filters.name in CODECS and level is not None and level > 0
    if not outside or math.prod(chunk) * rows.dtype.itemsize < _LARGE:
        dataset.write(h5s.ALL, h5s.ALL, np.ascontiguousarray(rows), make.type_of(rows.dtype))
        return
    assert filters.name is not None
    assert level is not None
    for offset in _offsets(rows.shape, chunk):
        part = rows[tuple(slice(o, o + c) for o, c in zip(offset, chunk, strict=True))]
        if part.shape != chunk:
            whole = np.zeros(chunk, rows.dtype)
            whole[tuple(slice(0, n) for n in part.shape)] = part
            part = whole
        data, _ = encode_chunk(np.ascontiguousarray(part).reshape(-1), filters.name, level)
        dataset.write_direct_chunk(offset, with_checksum(data), 0)


def _offsets(shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(0, n, c) for n, c in zip(shape, chunk, strict=True)))


class StoredArray:
    """A dataset whose bytes were found, and are read when it is called.

    Parameters
    ----------
    handle : Handle
    identifier
        Low-level id of the dataset.
    where : str
        Its path.

    Raises
    ------
    DamagedError
        What the file says of it cannot be.
    """

    def __init__(self, handle: Handle, identifier: Any, where: str) -> None:
        self._handle, self.where = handle, where
        dataset = StoredDataset(identifier, where)
        with damage(where):
            self._scalar = h5a.exists(identifier, SCALAR.encode())
            shape = dataset.shape
            self._layout = ChunkLayout.of(dataset) if shape and handle.by_position else None
            if self._layout is None:
                self._whole: Any = np.asarray(read_whole(dataset))
                return
            self.shape: tuple[int, ...] = shape
            check_size(dataset, math.prod(shape) * self._layout.dtype.itemsize)
            self._chunks: list[Any] = []
            if math.prod(shape):
                identifier.chunk_iter(self._chunks.append)

    def __call__(self) -> NDArray[Any]:
        """The array, fresh and writable, in the dtype and shape that were given.

        Raises
        ------
        DamagedError
            A chunk is missing, or does not have the checksum that was stored with it.
        """
        out = self._whole if self._layout is None else self._read()
        return np.array(out.reshape(())) if self._scalar and out.size == 1 else out

    def _read(self) -> NDArray[Any]:
        layout = self._layout
        assert layout is not None
        out = np.empty(self.shape, layout.dtype)
        count = 0
        for info in self._chunks:
            offset = info.chunk_offset
            target = tuple(
                slice(o, min(o + c, n)) for o, c, n in zip(offset, layout.chunk, self.shape, strict=True)
            )
            part = out[target]
            if not part.size:
                continue
            raw = self._handle.bytes_at(info.byte_offset, info.size)
            if raw is None or len(raw) < info.size:
                raise DamagedError(f"{self.where}: the chunk at {list(offset)} reaches behind the file's end")
            try:
                decoded = layout.decode(raw, info.filter_mask)
            except DamagedError as error:
                raise DamagedError(f"{self.where}: the chunk at {list(offset)} {error}") from error
            if part.shape == self.shape == layout.chunk:
                layout.place(decoded, slice(0, self.shape[0]), None, out)
            else:
                layout.put(decoded, tuple(slice(0, n) for n in part.shape), part)
            count += part.size
        if count != out.size:
            raise DamagedError(f"{self.where}: {out.size - count:,} of {out.size:,} values were never stored")
        return out


def stored(handle: Handle, group: Any, name: str, where: str) -> StoredArray:
    """The array at ``name`` below a group.

    Raises
    ------
    DamagedError
        There is none.
    """
    with damage(where):
        return StoredArray(handle, h5d.open(group, name.encode()), where)
