"""Rows of one dataset from any places, as training draws them: each chunk is read once, past HDF5.

HDF5 looks for chunks under its lock, and in a file of a million of them for long: here all places are listed
once. What follows is reading by position and inflating, several chunks at a time.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError, ReadError
from recorder.h5.reading.budget import check_chunk, check_memory
from recorder.h5.reading.chunks import ChunkLayout
from recorder.h5.reading.dataset import StoredDataset
from recorder.h5.reading.guard import damage
from recorder.h5.reading.perprocess import PerProcess
from recorder.h5.reading.together import together
from recorder.h5.untrusted import OpenUntrusted, open_untrusted

PARALLEL_BYTES = 1 << 20
"""Reads of fewer decoded bytes than this are not worth threads of their own."""
_NOWHERE = -1
_SLOTS, _CACHED = 31, 1 << 20
"""Places in HDF5's own cache of chunks, and its bytes."""

Job = tuple[tuple[int, ...], NDArray[np.intp]]
"""A chunk's place in the grid of chunks, and the places in the list of rows that it serves."""


class RowFile:
    """The rows of one dataset of a finished HDF5 file; every process opens the file itself.

    Instances go through pickles and forks. Threads may share one.

    Parameters
    ----------
    path : path
        The file.
    dataset : str
        Path of the dataset in it; with one axis at least, in chunks or contiguous, of numbers.

    Attributes
    ----------
    shape : tuple of int
    dtype : np.dtype

    Raises
    ------
    FileNotFoundError
    DamagedError
        No HDF5 file, or no such dataset.
    """

    def __init__(self, path: str | os.PathLike[str], dataset: str) -> None:
        self.path, self.dataset = Path(path).absolute(), dataset
        self._opened = PerProcess(functools.partial(_OpenRows, self.path, dataset))
        opened = self._opened.get()
        self.shape, self.dtype, self._identity = opened.shape, opened.dtype, opened.identity

    def __len__(self) -> int:
        return self.shape[0]

    def read(
        self, rows: Sequence[int] | NDArray[np.integer], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """The rows in the order asked for, ``(len(rows), *shape[1:])``; each may come several times.

        Parameters
        ----------
        rows : sequence of int
            From 0 to ``len(self) - 1``.
        out : array, optional
            C-contiguous, of that shape and the dataset's dtype: filled and returned instead of a fresh one.

        Raises
        ------
        IndexError
            There is no such row.
        DamagedError
            A chunk is missing, or does not say what it must.
        ClosedError
            After :meth:`close`.
        """
        wanted = np.asarray(rows, np.intp).reshape(-1)
        if wanted.size and (wanted.min() < 0 or wanted.max() >= self.shape[0]):
            wrong = int(wanted[(wanted < 0) | (wanted >= self.shape[0])][0])
            raise IndexError(f"{self.path}: {self.dataset} has rows 0 to {self.shape[0] - 1}, not {wrong}")
        shape = (len(wanted), *self.shape[1:])
        if out is None:
            out = np.empty(shape, self.dtype)
        elif out.shape != shape or out.dtype != self.dtype or not out.flags.c_contiguous:
            raise ValueError(f"out must be C-contiguous {self.dtype} {shape}, got {out.dtype} {out.shape}")
        opened = self._opened.get()
        if opened.identity != self._identity:
            raise ReadError(
                f"{self.path} is another file than the one that was opened: {self.dataset} may differ"
            )
        if out.size:
            opened.read(wanted, out)
        return out

    def expect(self, rows: Sequence[int] | NDArray[np.integer]) -> None:
        """Have the system begin to fetch rows that will be read soon; who reads them waits less then.

        Worth it for rows of some hundred kilobytes: of a read from anywhere the system fetches ahead little.
        """
        opened = self._opened.get()
        for offset, size in opened.places(np.asarray(rows, np.intp).reshape(-1)):
            os.posix_fadvise(opened.descriptor, offset, size, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close this process's file. Idempotent."""
        self._opened.close()


class _OpenRows:
    """An open file, and where the chunks of the dataset lie in it.

    Attributes
    ----------
    identity : tuple
        What tells this file, and what stands in it, from another one at the same path.
    """

    def __init__(self, path: Path, dataset: str) -> None:
        try:
            self._file = open_untrusted(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            if not path.is_file():
                raise
            raise DamagedError(f"{path} is no HDF5 file, or is damaged: {error}") from error
        try:
            with damage(f"{path}: {dataset}"):
                self._look(path, dataset)
        except BaseException:
            self._file.close()
            raise

    def _look(self, path: Path, name: str) -> None:
        if self._file.get(name, getclass=True) is not h5py.Dataset:
            raise DamagedError(f"there is no dataset {name!r} of rows")
        # HDF5 keeps 8 MiB of chunks for each dataset, of which rows from anywhere hardly find one again.
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        access.set_chunk_cache(_SLOTS, _CACHED, 1.0)
        found = h5py.h5d.open(self._file.id, name.encode(), access)
        self._dataset = stored = StoredDataset(found, name)
        if not stored.shape:
            raise DamagedError(f"there is no dataset {name!r} of rows")
        self.shape: tuple[int, ...] = stored.shape
        self.dtype: np.dtype[Any] = stored.dtype
        self.name = stored.name
        raw = self._file.raw if isinstance(self._file, OpenUntrusted) else None
        self._descriptor = -1 if raw is None or not stored.plain else raw.descriptor
        found_as = path.stat() if raw is None else os.fstat(raw.descriptor)
        self.identity = (found_as.st_size, found_as.st_mtime_ns, self.shape, self.dtype)
        self._layout: ChunkLayout | None = None
        self._chunk = stored.chunks
        if stored.chunks is None:
            self._start = found.get_offset()
            if self._start is None:
                self._descriptor = -1
            return
        check_chunk(stored)
        self._layout = ChunkLayout.of(stored)
        pipeline = stored.pipeline
        if pipeline is None or (pipeline.codes and self._layout is None):
            # A filter that only HDF5 has.
            self._descriptor = -1
        if self._descriptor >= 0:
            self._list_chunks(found, stored.chunks)

    def _list_chunks(self, identifier: Any, chunk: tuple[int, ...]) -> None:
        grid = tuple(-(-n // c) for n, c in zip(self.shape, chunk, strict=True))
        check_memory(20 * math.prod(grid), f"{self.name}: claims {math.prod(grid):,} chunks")
        self._offsets = np.full(grid, _NOWHERE, np.int64)
        self._sizes, self._masks = np.zeros(grid, np.int64), np.zeros(grid, np.uint32)

        def take(info: Any) -> None:
            if info.byte_offset is not None and info.size:
                place = tuple(o // c for o, c in zip(info.chunk_offset, chunk, strict=True))
                self._offsets[place] = info.byte_offset
                self._sizes[place], self._masks[place] = info.size, info.filter_mask

        identifier.chunk_iter(take)

    def read(self, rows: NDArray[np.intp], out: NDArray[Any]) -> None:
        """Fill ``out`` with the rows, which are there."""
        if self._descriptor < 0:
            with damage(self.name):
                _through_hdf5(self._dataset.h5py, rows, out)
            return
        if self._chunk is None:
            self._contiguous(rows, out)
            return
        if self._layout is None and self._chunk[1:] == self.shape[1:]:
            self._whole_rows(rows, out, self._chunk[0])
            return
        jobs = self._jobs(rows, self._chunk)
        if len(jobs) > 1 and out.nbytes >= PARALLEL_BYTES:
            together(lambda job: self._chunk_into(job, rows, out), jobs)
            return
        for job in jobs:
            self._chunk_into(job, rows, out)

    @property
    def descriptor(self) -> int:
        """Of the file; -1 where it is not read by position."""
        return self._descriptor

    def places(self, rows: NDArray[np.intp]) -> list[tuple[int, int]]:
        """Where the chunks of rows are stored, as offset and size; nothing where HDF5 has to read them."""
        inside = rows[(rows >= 0) & (rows < self.shape[0])]
        if self._descriptor < 0 or not hasattr(os, "posix_fadvise"):
            return []
        if self._chunk is None:
            size = math.prod(self.shape[1:]) * self.dtype.itemsize
            return [(self._start + row * size, size) for row in inside.tolist()]
        numbers = inside // self._chunk[0]
        offsets, sizes = self._offsets[numbers].reshape(-1), self._sizes[numbers].reshape(-1)
        there = offsets != _NOWHERE
        return list(zip(offsets[there].tolist(), sizes[there].tolist(), strict=True))

    def _contiguous(self, rows: NDArray[np.intp], out: NDArray[Any]) -> None:
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        for first, last in _runs(rows):
            self._fill(self._start + int(rows[first]) * size, out[first:last], rows[first])

    def _whole_rows(self, rows: NDArray[np.intp], out: NDArray[Any], chunk_rows: int) -> None:
        """Rows that lie in the file as they are, each in one piece."""
        size = out[0].nbytes
        starts = self._offsets.reshape(-1)[rows // chunk_rows]
        if (starts == _NOWHERE).any():
            missing = int(rows[np.argmax(starts == _NOWHERE)])
            raise DamagedError(f"{self.name}: the chunk of row {missing} was never stored")
        offsets = starts + rows % chunk_rows * size
        view = out.reshape(-1).view(np.uint8).data
        # Neighbours in the file are one read.
        cuts = np.flatnonzero(np.diff(offsets) != size) + 1
        for first, last in itertools.pairwise([0, *cuts.tolist(), len(rows)]):
            self._fill_view(int(offsets[first]), view[first * size : last * size], rows[first])

    def _fill(self, offset: int, target: NDArray[Any], row: Any) -> None:
        self._fill_view(offset, target.reshape(-1).view(np.uint8).data, row)

    def _fill_view(self, offset: int, view: memoryview, row: Any) -> None:
        done = 0
        while done < len(view):
            got = os.preadv(self._descriptor, [view[done:]], offset + done)
            if not got:
                raise DamagedError(f"{self.name}: row {row} reaches behind the file's end")
            done += got

    def _jobs(self, rows: NDArray[np.intp], chunk: tuple[int, ...]) -> list[Job]:
        """Chunks, each with the places in ``rows`` that it serves."""
        numbers = rows // chunk[0]
        order = np.argsort(numbers, kind="stable")
        cuts = np.flatnonzero(np.diff(numbers[order])) + 1
        rest = list(itertools.product(*(range(n) for n in self._offsets.shape[1:])))
        return [
            ((int(numbers[places[0]]), *tail), places) for places in np.split(order, cuts) for tail in rest
        ]

    def _chunk_into(self, job: Job, rows: NDArray[np.intp], out: NDArray[Any]) -> None:
        place, wanted = job
        assert self._chunk is not None
        offset, size = int(self._offsets[place]), int(self._sizes[place])
        if offset == _NOWHERE:
            raise DamagedError(f"{self.name}: the chunk of row {rows[wanted[0]]} was never stored")
        rest = tuple(
            slice(p * c, min((p + 1) * c, n))
            for p, c, n in zip(place[1:], self._chunk[1:], self.shape[1:], strict=True)
        )
        lines = rows[wanted] - place[0] * self._chunk[0]
        # Whole rows that stand in a row, here and there, are one copy.
        run = self._chunk[1:] == self.shape[1:] and _consecutive(lines) and _consecutive(wanted)
        target = out[int(wanted[0]) : int(wanted[0]) + len(wanted)] if run else out
        if self._layout is None:
            self._unfiltered(offset, rows[wanted], lines, wanted, rest, out)
            return
        raw = os.pread(self._descriptor, size, offset)
        try:
            decoded = self._layout.decode(raw, int(self._masks[place]))
        except DamagedError as error:
            raise DamagedError(f"{self.name}: the chunk of row {rows[wanted[0]]} {error}") from error
        if run:
            self._layout.place(decoded, slice(int(lines[0]), int(lines[0]) + len(wanted)), None, target)
            return
        inner = tuple(slice(0, s.stop - s.start) for s in rest)
        for line, at in zip(lines.tolist(), wanted.tolist(), strict=True):
            self._layout.put(decoded, (slice(line, line + 1), *inner), out[(slice(at, at + 1), *rest)])

    def _unfiltered(
        self,
        offset: int,
        rows: NDArray[np.intp],
        lines: NDArray[np.intp],
        wanted: NDArray[np.intp],
        rest: tuple[slice, ...],
        out: NDArray[Any],
    ) -> None:
        assert self._chunk is not None
        width = math.prod(self._chunk[1:]) * self.dtype.itemsize
        inner = tuple(slice(0, s.stop - s.start) for s in rest)
        part = np.empty(self._chunk[1:], self.dtype)
        for line, at, row in zip(lines.tolist(), wanted.tolist(), rows.tolist(), strict=True):
            self._fill(offset + line * width, part, row)
            out[(slice(at, at + 1), *rest)] = part[inner]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _through_hdf5(dataset: h5py.Dataset, rows: NDArray[np.intp], out: NDArray[Any]) -> None:
    for first, last in _runs(rows):
        row = int(rows[first])
        dataset.read_direct(out, np.s_[row : row + last - first], np.s_[first:last])


def _runs(rows: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Where rows that follow each other begin and end in the list: they are one read."""
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    return itertools.pairwise([0, *cuts.tolist(), len(rows)])


def _consecutive(numbers: NDArray[np.intp]) -> bool:
    return len(numbers) == 1 or bool((np.diff(numbers) == 1).all())
