"""Range reads of a dataset's rows: chunks fetched raw, inflated by several threads.

HDF5 runs filters one at a time under its lock. Here the lock is held only while a chunk's bytes are
fetched; inflating and un-shuffling run outside it. Doing so also checks each chunk's length, where
HDF5 would hand out uninitialised memory for a payload that is too short.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError, ReadError
from recorder.format.clock import Rows, row_span
from recorder.h5.reading.chunks import ChunkLayout, KeptChunks, Select, fetch
from recorder.h5.reading.guard import check_size, damage

PARALLEL_BYTES = 4 << 20
"""Reads of fewer decoded bytes than this are not worth the threads."""
_MAX_THREADS = 8


def read_rows(
    dataset: Any, start: int, stop: int, select: Select = None, kept: KeptChunks | None = None
) -> NDArray[Any]:
    """Rows ``start`` to ``stop`` (within the dataset) as a fresh array ``(stop - start, ...)``.

    ``select`` picks along the first axis of a row, as NumPy does; the rest is not copied. ``kept``
    serves small reads of a dataset that no longer changes.

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
        check_size(dataset, math.prod(shape) * dataset.dtype.itemsize)
        layout = ChunkLayout.of(dataset) if kept is None else kept.layout(dataset)
        if layout is None or not rows:
            _need_filters(dataset)
            whole = np.asarray(dataset[start:stop])
            return whole if select is None else np.array(whole[:, select])
        out = np.empty(shape, layout.dtype)
        if out.size:
            check_size(dataset, layout.nbytes)
            _fill(_Read(dataset, layout, select, kept), start, stop, out)
        return out


def read_at(dataset: Any, rows: Rows, select: Select = None, kept: KeptChunks | None = None) -> NDArray[Any]:
    """As :func:`read_rows`, for rows that a :class:`~recorder.format.clock.Clock` named."""
    first, last = row_span(rows)
    block = read_rows(dataset, first, last, select, kept)
    return block if isinstance(rows, slice) else np.array(block[rows - first])


def read_blocks(dataset: Any, start: int, stop: int, block: int = 1 << 20) -> Iterator[NDArray[Any]]:
    """Rows ``start`` to ``stop`` in blocks of at most ``block`` rows, so that memory stays small."""
    for low in range(start, stop, block):
        yield read_rows(dataset, low, min(low + block, stop))


class _Read:
    """What one read has in hand for each of its chunks."""

    def __init__(self, dataset: Any, layout: ChunkLayout, select: Select, kept: KeptChunks | None) -> None:
        self.dataset, self.layout, self.select, self.kept = dataset, layout, select, kept
        self.name = str(dataset.name)

    def decode(self, raw: bytes, mask: int, lines: slice, out: NDArray[Any]) -> None:
        """Decode and place a fetched chunk; runs on any thread."""
        self.layout.place(self.layout.decode(raw, mask), lines, self.select, out)

    def copy(self, row: int, lines: slice, out: NDArray[Any]) -> None:
        """Place the chunk at ``row``, from those kept if it is among them."""
        decoded = None if self.kept is None else self.kept.get(self.name, row)
        if decoded is None:
            decoded = self.layout.decode(*fetch(self.dataset, self.layout, row))
            if self.kept is not None:
                self.kept.put(self.name, row, decoded)
        self.layout.place(decoded, lines, self.select, out)


def _fill(read: _Read, start: int, stop: int, out: NDArray[Any]) -> None:
    rows = read.layout.chunk[0]
    first, last = start // rows, -(-stop // rows)
    threads = _threads() if last - first > 1 and (last - first) * read.layout.nbytes >= PARALLEL_BYTES else 1
    pool = ThreadPoolExecutor(threads) if threads > 1 else None
    waiting: deque[Future[None]] = deque()
    try:
        for number in range(first, last):
            low = number * rows
            lines = slice(max(start - low, 0), min(stop - low, rows))
            target = out[low + lines.start - start : low + lines.stop - start]
            if pool is None:
                read.copy(low, lines, target)
                continue
            raw, mask = fetch(read.dataset, read.layout, low)
            waiting.append(pool.submit(read.decode, raw, mask, lines, target))
            if len(waiting) > 2 * threads:
                waiting.popleft().result()
        for future in waiting:
            future.result()
    except DamagedError as error:
        raise error if str(error).startswith("/") else DamagedError(f"{read.name}: {error}") from error
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _threads() -> int:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MAX_THREADS, usable)


def _selected(row_shape: tuple[int, ...], select: Select) -> tuple[int, ...]:
    if select is None:
        return row_shape
    if not row_shape:
        raise IndexError("its rows are single values: there is nothing to select in them")
    return np.broadcast_to(np.uint8(0), row_shape)[select].shape


def _need_filters(dataset: Any) -> None:
    pipeline = dataset.id.get_create_plist()
    filters = [pipeline.get_filter(i) for i in range(pipeline.get_nfilters())]
    if any(not h5py.h5z.filter_avail(code) for code, *_ in filters):
        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401
    for code, _, _, name in filters:
        if not h5py.h5z.filter_avail(code):
            label = name.decode("utf-8", "replace") or "without a name"
            raise ReadError(
                f"{dataset.name} needs the HDF5 filter {code} ({label}): pip install 'flightrec[filters]'"
            )
