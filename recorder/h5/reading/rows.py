"""Range reads of a dataset's rows: chunks fetched raw, inflated by several threads.

HDF5 runs filters one at a time under its lock. Here the lock is held only while a chunk's bytes are
fetched; inflating and un-shuffling run outside it. Doing so also checks each chunk's length, where
HDF5 would hand out uninitialised memory for a payload that is too short.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.clock import Rows, row_span
from recorder.h5.reading.guard import check_size, damage

try:
    from isal import isal_zlib as _deflate
except ImportError:  # pragma: no cover - platforms without a build of ISA-L
    import zlib as _deflate  # type: ignore[no-redef]

PARALLEL_BYTES = 4 << 20
"""Reads of fewer decoded bytes than this are not worth the threads."""
_MAX_THREADS = 8
_FILTER_OF_HDF5 = {h5py.h5z.FILTER_SHUFFLE: "shuffle", h5py.h5z.FILTER_DEFLATE: "deflate"}

Select = int | slice | NDArray[np.intp] | None
"""Which part of the first row axis is wanted."""


def read_rows(dataset: Any, start: int, stop: int, select: Select = None) -> NDArray[Any]:
    """Rows ``start`` to ``stop`` (within the dataset) as a fresh array ``(stop - start, ...)``.

    ``select`` picks along the first axis of a row, as NumPy does; the rest is not copied.

    Raises
    ------
    IndexError
        ``select`` does not fit the rows.
    DamagedError
        A chunk is missing or does not inflate to what it must, or the claim is not credible.
    ReadError
        A filter is not installed.
    """
    rows = stop - start
    shape = (rows, *_selected(dataset.shape[1:], select))
    with damage(dataset.name):
        check_size(dataset, int(np.prod(shape, dtype=object)) * dataset.dtype.itemsize)
        layout = ChunkLayout.of(dataset)
        if layout is None or not rows:
            _offer_filters(dataset)
            whole = np.asarray(dataset[start:stop])
            return whole if select is None else np.array(whole[:, select])
        out = np.empty(shape, layout.dtype)
        if out.size:
            _fill(dataset, layout, (start, stop), select, out)
        return out


def read_at(dataset: Any, rows: Rows, select: Select = None) -> NDArray[Any]:
    """As :func:`read_rows`, for rows that a :class:`~recorder.format.clock.Clock` named."""
    first, last = row_span(rows)
    block = read_rows(dataset, first, last, select)
    return block if isinstance(rows, slice) else np.array(block[rows - first])


def read_blocks(dataset: Any, start: int, stop: int, block: int = 1 << 20) -> Iterator[NDArray[Any]]:
    """Rows ``start`` to ``stop`` in blocks of at most ``block`` rows, so that memory stays small."""
    for low in range(start, stop, block):
        yield read_rows(dataset, low, min(low + block, stop))


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
        return int(np.prod(self.chunk, dtype=object)) * self.dtype.itemsize

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

    def place(self, raw: bytes, mask: int, lines: slice, select: Select, out: NDArray[Any]) -> None:
        """Decode a chunk and copy the rows ``lines`` of it into ``out``, byte plane by byte plane."""
        data = raw if mask >> self.deflate & 1 else _inflate(raw, self.nbytes)
        if len(data) != self.nbytes:
            raise DamagedError(f"a chunk has {len(data)} bytes instead of {self.nbytes}")
        width = self.dtype.itemsize
        index: Any = lines if select is None else (lines, select)
        if self.shuffle is None or mask >> self.shuffle & 1 or width == 1:
            out[...] = np.frombuffer(data, self.dtype).reshape(self.chunk)[index]
            return
        planes = np.frombuffer(data, np.uint8).reshape(width, *self.chunk)
        cells = out.view(np.uint8).reshape(*out.shape, width)
        for plane in range(width):
            cells[..., plane] = planes[plane][index]


def _fill(
    dataset: Any, layout: ChunkLayout, span: tuple[int, int], select: Select, out: NDArray[Any]
) -> None:
    start, stop = span
    rows, rest = layout.chunk[0], (0,) * (len(layout.chunk) - 1)
    check_size(dataset, layout.nbytes)
    first, last = start // rows, -(-stop // rows)
    threads = min(_MAX_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
    parallel = (last - first) * layout.nbytes >= PARALLEL_BYTES and last - first > 1 and threads > 1
    pool = ThreadPoolExecutor(threads) if parallel else None
    waiting: deque[Future[None]] = deque()
    try:
        for number in range(first, last):
            low = number * rows
            lines = slice(max(start - low, 0), min(stop - low, rows))
            target = out[low + lines.start - start : low + lines.stop - start]
            try:
                mask, raw = dataset.id.read_direct_chunk((low, *rest))
            except (RuntimeError, OSError) as error:
                raise DamagedError(
                    f"{dataset.name}: rows {low} to {low + rows - 1} cannot be read: {error}"
                ) from error
            if mask == 0 and len(raw) == layout.nbytes:
                mask = _mask_in_index(dataset, (low, *rest))
            if pool is None:
                layout.place(raw, mask, lines, select, target)
                continue
            waiting.append(pool.submit(layout.place, raw, mask, lines, select, target))
            if len(waiting) > 2 * threads:
                waiting.popleft().result()
        for future in waiting:
            future.result()
    except DamagedError as error:
        raise error if str(error).startswith("/") else DamagedError(f"{dataset.name}: {error}") from error
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


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


def _inflate(raw: bytes, nbytes: int) -> bytes:
    # One byte more than there may be: a bomb ends here, and a stream that ends has its Adler-32 checked.
    stream = _deflate.decompressobj()
    data = stream.decompress(raw, nbytes + 1)
    if len(data) != nbytes or not stream.eof:
        raise DamagedError(f"a chunk inflates to {len(data)} bytes or more instead of {nbytes}")
    return bytes(data)


def _selected(row_shape: tuple[int, ...], select: Select) -> tuple[int, ...]:
    if select is None:
        return row_shape
    if not row_shape:
        raise IndexError("its rows are single values: there is nothing to select in them")
    return np.broadcast_to(np.uint8(0), row_shape)[select].shape


def _offer_filters(dataset: Any) -> None:
    pipeline = dataset.id.get_create_plist()
    codes = {pipeline.get_filter(i)[0] for i in range(pipeline.get_nfilters())}
    if any(code >= 256 and code != h5py.h5z.FILTER_LZF for code in codes):
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401
