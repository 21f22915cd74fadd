"""Range reads of a dataset's rows: chunks fetched raw, inflated by several threads.

HDF5 reads and runs filters one at a time under its lock. Here it only says where the chunks lie; reading,
inflating and un-shuffling run outside it. Doing so also checks each chunk's length, where
HDF5 would hand out uninitialised memory for a payload that is too short.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError, ReadError
from recorder.format.clock import Rows, row_span
from recorder.h5.pipeline import Pipeline
from recorder.h5.reading.budget import BUDGET, CREDIBLE_RATIO, check_chunk, check_size
from recorder.h5.reading.chunks import ChunkLayout, Decoded, KeptChunks, Select, fetch
from recorder.h5.reading.guard import damage
from recorder.h5.reading.places import ChunkPlaces
from recorder.h5.reading.together import together

PARALLEL_BYTES = 4 << 20
"""Reads of fewer decoded bytes than this are not worth the threads, which take turns at Python's lock."""


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
        if dataset.chunks:
            check_chunk(dataset)
        if layout is None or not rows:
            _need_filters(dataset)
            whole = _through_hdf5(dataset, start, stop)
            return whole if select is None else np.array(whole[:, select])
        if layout.chunk[1:] != dataset.shape[1:]:
            whole = _grid(dataset, layout, start, stop)
            return whole if select is None else np.array(whole[:, select])
        out = np.empty(shape, layout.dtype)
        if out.size:
            _Read(dataset, layout, select, kept, start, stop).into(out)
        return out


def read_whole(dataset: Any) -> Any:
    """All of a dataset, as ``dataset[()]`` is; a scalar where it has no dimensions.

    Raises
    ------
    DamagedError, ReadError
        As :func:`read_rows`.
    """
    if not dataset.shape:
        with damage(dataset.name):
            check_size(dataset, dataset.dtype.itemsize)
            return dataset[()]
    return read_rows(dataset, 0, dataset.shape[0])


def read_at(dataset: Any, rows: Rows, select: Select = None, kept: KeptChunks | None = None) -> NDArray[Any]:
    """As :func:`read_rows`, for rows that a :class:`~recorder.format.clock.Clock` named."""
    first, last = row_span(rows)
    block = read_rows(dataset, first, last, select, kept)
    return block if isinstance(rows, slice) else np.array(block[rows - first])


def read_blocks(
    dataset: Any, start: int, stop: int, block: int = 1 << 20, kept: KeptChunks | None = None
) -> Iterator[NDArray[Any]]:
    """Rows ``start`` to ``stop`` in blocks of at most ``block`` rows, so that memory stays small."""
    for low in range(start, stop, block):
        yield read_rows(dataset, low, min(low + block, stop), None, kept)


class _Read:
    """What one read has in hand for each of its chunks."""

    def __init__(
        self,
        dataset: Any,
        layout: ChunkLayout,
        select: Select,
        kept: KeptChunks | None,
        start: int,
        stop: int,
    ) -> None:
        rows = layout.chunk[0]
        self.name, self.rows = str(dataset.name), int(dataset.shape[0])
        self.layout, self.select, self.kept, self.start, self.stop = layout, select, kept, start, stop
        self.chunks = range(start // rows * rows, stop, rows)
        file = None if kept is None else kept.file
        self.places = ChunkPlaces(dataset, layout, file, self.chunks)

    def into(self, out: NDArray[Any]) -> None:
        """Fill ``out`` with the rows."""
        apart = len(self.chunks) > 1 and len(self.chunks) * self.layout.nbytes >= PARALLEL_BYTES
        if apart:
            together(lambda row: self._place(row, self._decoded(row), out), self.chunks)
            return
        for row in self.chunks:
            decoded = None if self.kept is None else self.kept.get(self.name, row)
            if decoded is None:
                decoded = self._decoded(row)
                if self.kept is not None and self._part_of(row):
                    self.kept.put(self.name, row, decoded)
            self._place(row, decoded, out)

    def _part_of(self, row: int) -> bool:
        """Whether some of this chunk is left for other reads; keeping the rest would cost fresh memory."""
        whole = self.start <= row and min(row + self.layout.chunk[0], self.rows) <= self.stop
        return self.select is not None or not whole

    def _decoded(self, row: int) -> Decoded:
        fetched = self.places.fetch(row)
        try:
            return self.layout.decode(*fetched)
        except DamagedError as error:
            raise named(self.name, row, error) from error

    def _place(self, row: int, decoded: Decoded, out: NDArray[Any]) -> None:
        lines = slice(max(self.start - row, 0), min(self.stop - row, self.layout.chunk[0]))
        target = out[row + lines.start - self.start : row + lines.stop - self.start]
        self.layout.place(decoded, lines, self.select, target)


def _through_hdf5(dataset: Any, start: int, stop: int) -> NDArray[Any]:
    """Rows as HDF5 decodes them, once what it does not check has been checked."""
    pipeline = Pipeline.of(dataset) if dataset.chunks and stop > start else None
    if pipeline is not None and pipeline.codes:
        for offset in _offsets(dataset, start, stop):
            try:
                pipeline.decode(*fetch(dataset, pipeline.nbytes, offset))
            except DamagedError as error:
                raise named(str(dataset.name), offset[0], error) from error
    if not dataset.dtype.hasobject:
        return np.asarray(dataset[start:stop])
    # Each of many texts may be the same long one: they are read a few at a time, and counted.
    size = int(dataset.file.id.get_filesize())
    most = max(BUDGET, CREDIBLE_RATIO * size)
    width = math.prod(dataset.shape[1:]) * size
    if width > most:
        raise DamagedError(f"{dataset.name}: its rows claim {width:,} bytes each")
    parts, total = [np.empty((0, *dataset.shape[1:]), object)], 0
    step = max(1, most // max(width, 1))
    for low in range(start, stop, step):
        parts.append(np.asarray(dataset[low : min(low + step, stop)]))
        total += sum(len(value) for value in parts[-1].flat)
        if total > most:
            raise DamagedError(f"{dataset.name}: its text multiplies to more than {most:,} bytes")
    return parts[-1] if len(parts) == 2 else np.concatenate(parts)


def _offsets(dataset: Any, start: int, stop: int) -> Iterator[tuple[int, ...]]:
    """Where the chunks with these rows begin."""
    low = start - start % dataset.chunks[0]
    rest = [range(0, n, c) for n, c in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)]
    return itertools.product(range(low, stop, dataset.chunks[0]), *rest)


def _grid(dataset: Any, layout: ChunkLayout, start: int, stop: int) -> NDArray[Any]:
    """Rows of a dataset whose chunks hold parts of rows."""
    shape = (stop - start, *dataset.shape[1:])
    out = np.empty(shape, layout.dtype)
    if not out.size:
        return out
    for offset in _offsets(dataset, start, stop):
        try:
            decoded = layout.decode(*fetch(dataset, layout.nbytes, offset))
        except DamagedError as error:
            raise named(str(dataset.name), offset[0], error) from error
        rows = slice(max(start - offset[0], 0), min(stop - offset[0], layout.chunk[0]))
        rest = [
            slice(0, min(n - o, c)) for o, n, c in zip(offset[1:], shape[1:], layout.chunk[1:], strict=True)
        ]
        first = offset[0] + rows.start - start
        target = [slice(first, first + rows.stop - rows.start)]
        target += [slice(o, o + part.stop) for o, part in zip(offset[1:], rest, strict=True)]
        layout.put(decoded, (rows, *rest), out[tuple(target)])
    return out


def named(name: str, row: int, error: DamagedError) -> DamagedError:
    """The error of a chunk with the dataset's name and the chunk's first row."""
    text = str(error)
    return error if text.startswith("/") else DamagedError(f"{name}: the chunk at row {row:,} {text}")


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
