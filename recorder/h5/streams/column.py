"""One dataset that grows by whole chunks, and the rows that wait for their chunk to fill."""

from __future__ import annotations

import math
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import COUNTER, PRECISION
from recorder.format.rounding import rounded
from recorder.h5.chunking import Chunking
from recorder.h5.image import Image
from recorder.h5.template import LARGEST, Template

ITEM_CHUNK = 16_384
"""Rows of a chunk of what is not one row a step: intervals, anchors, runs, bytes of events."""


class Column:
    """Rows of one dtype and shape on their way into one dataset.

    Rows are pushed as views, drained in whole chunks, and what is left is copied by :meth:`settle`
    before the memory of the views is given back.
    """

    def __init__(
        self,
        path: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        chunk_rows: int,
        attributes: dict[str, Any],
    ) -> None:
        self.path, self.dtype, self.shape, self.chunk_rows = path, np.dtype(dtype), shape, chunk_rows
        self.attributes = attributes
        self.row_bytes = self.dtype.itemsize * math.prod(shape)
        """Bytes of one row."""
        self.committed = 0
        self.waiting = 0
        self.counter: int | None = None
        self.source: str | None = None
        self.stale = False
        """Whether an attribute changed after the dataset was created."""
        self._pending: list[NDArray[Any]] = []
        self._dataset: h5py.Dataset | None = None

    @property
    def rows(self) -> int:
        """Rows so far, in the file or waiting."""
        return self.committed + self.waiting

    @property
    def exists(self) -> bool:
        """Whether the dataset is in the file."""
        return self.counter is not None

    def set_attribute(self, name: str, value: Any) -> None:
        """An attribute of the dataset; one that exists gets it with the next structural change."""
        self.attributes[name] = value
        self.stale = self.exists

    def push(self, rows: NDArray[Any]) -> None:
        """More rows; a view, which must stay as it is until they are drained or settled."""
        if len(rows):
            self._pending.append(rows)
            self.waiting += len(rows)

    def fork(self, path: str) -> Column:
        """A column of its own with the same rows so far; its dataset begins as a copy of this one's."""
        other = Column(path, self.dtype, self.shape, self.chunk_rows, dict(self.attributes))
        other._pending, other.waiting = list(self._pending), self.waiting
        if self.exists and self.committed:
            other.source, other.committed = self.path, self.committed
        return other

    def create(self, episode: h5py.Group, chunking: Chunking, counter: int, *, final: bool) -> None:
        """Create the dataset, in place of what an interrupted change may have left there."""
        if self.path in episode:
            del episode[self.path]
        if final and self.source is None:
            self.chunk_rows = max(1, min(self.chunk_rows, self.rows))
        dataset = episode.create_dataset(
            self.path,
            (0, *self.shape),
            maxshape=(None, *self.shape),
            chunks=(self.chunk_rows, *(max(1, side) for side in self.shape)),
            dtype=self.dtype,
            **chunking.keywords_for(self.dtype, self.chunk_rows * self.row_bytes // self.dtype.itemsize),
        )
        if not final:
            dataset.attrs[COUNTER] = counter
        self.counter, self._dataset = counter, dataset
        self.write_attributes()
        if self.source is not None:
            _copy_chunks(episode[self.source], dataset, self.committed)
            self.source = None

    def lay_out(self, target: Template | Image, chunking: Chunking, counter: int) -> bool:
        """Hand all rows of an ended episode to ``target``, as a dataset of fixed size with one chunk.

        False where they are not of that kind: :meth:`create` and :meth:`drain` take any.
        """
        rows = self.waiting
        if self.committed or not 0 < rows <= self.chunk_rows or not 0 < rows * self.row_bytes <= LARGEST:
            return False
        if not chunking.outside:
            return False
        pending, self._pending, self.waiting = self._pending, [], 0
        whole = pending[0] if len(pending) == 1 else np.concatenate(pending)
        whole = self._rounded(np.ascontiguousarray(whole))
        level = None if chunking.name is None else chunking.level
        target.dataset(self.path, whole, level, chunking.encode_again(whole), self.attributes)
        self.committed, self.counter = rows, counter
        return True

    def write_attributes(self) -> None:
        """Write the attributes of a dataset that is open in a structural change."""
        assert self._dataset is not None
        for key, value in self.attributes.items():
            self._dataset.attrs[key] = value
        self.stale = False

    def attach(self, episode: h5py.Group) -> None:
        """Use this group's dataset from now on, cut back to what is known to be whole."""
        dataset = episode[self.path]
        if dataset.shape[0] != self.committed:
            dataset.resize(self.committed, axis=0)
        self._dataset = dataset

    def detach(self) -> None:
        """Let go of the dataset, whose file is about to be closed."""
        self._dataset = None

    def drain(self, chunking: Chunking, *, final: bool = False) -> bool:
        """Append all whole chunks, with ``final`` the rest too. True if anything was written."""
        whole = self.waiting // self.chunk_rows * self.chunk_rows
        rows = self.waiting if final else whole
        if not rows:
            return False
        dataset = self._dataset
        assert dataset is not None
        end = self.committed + rows
        dataset.resize(end, axis=0)
        while self.committed < end:
            chunk = self._take(min(self.chunk_rows, end - self.committed))
            self._write(dataset, chunk, chunking)
            self.committed += len(chunk)
        return True

    def flush(self) -> None:
        """Publish the new extent and chunks to readers."""
        assert self._dataset is not None
        self._dataset.flush()

    def settle(self) -> None:
        """Own what waits, so that the memory it came in can be reused."""
        if self._pending:
            self._pending = [np.concatenate(self._pending)]

    def waiting_rows(self) -> NDArray[Any]:
        """What waits, as one array."""
        if not self._pending:
            return np.empty((0, *self.shape), self.dtype)
        self.settle()
        return self._pending[0]

    def state(self) -> dict[str, Any]:
        """Everything but the waiting rows, as JSON; :meth:`restore` is its inverse."""
        return {
            "path": self.path,
            "dtype": self.dtype.str,
            "shape": list(self.shape),
            "chunk_rows": self.chunk_rows,
            "attributes": self.attributes,
            "committed": self.committed,
            "waiting": self.waiting,
            "counter": self.counter,
        }

    @classmethod
    def restore(cls, state: dict[str, Any], blob: memoryview) -> Column:
        """The column that :meth:`state` describes, with its waiting rows from ``blob``."""
        dtype, shape = np.dtype(state["dtype"]), tuple(state["shape"])
        column = cls(state["path"], dtype, shape, state["chunk_rows"], state["attributes"])
        column.committed, column.counter = state["committed"], state["counter"]
        column.push(np.frombuffer(blob, dtype).reshape(state["waiting"], *shape))
        return column

    def _take(self, rows: int) -> NDArray[Any]:
        parts, need = [], rows
        while need:
            head = self._pending[0]
            if len(head) <= need:
                parts.append(head)
                self._pending.pop(0)
                need -= len(head)
            else:
                parts.append(head[:need])
                self._pending[0] = head[need:]
                need = 0
        self.waiting -= rows
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _rounded(self, rows: NDArray[Any]) -> NDArray[Any]:
        return rounded(rows, self.attributes[PRECISION]) if PRECISION in self.attributes else rows

    def _write(self, dataset: h5py.Dataset, chunk: NDArray[Any], chunking: Chunking) -> None:
        start = self.committed
        chunk = self._rounded(chunk)
        if not chunking.outside or 0 in self.shape:
            dataset[start : start + len(chunk)] = chunk
            return
        if len(chunk) < self.chunk_rows:
            padded = np.zeros((self.chunk_rows, *self.shape), self.dtype)
            padded[: len(chunk)] = chunk
            chunk = padded
        data, mask = chunking.encode(chunk)
        dataset.id.write_direct_chunk((start,) + (0,) * len(self.shape), data, mask)


def _copy_chunks(source: h5py.Dataset, target: h5py.Dataset, rows: int) -> None:
    target.resize(rows, axis=0)
    for start in range(0, rows, source.chunks[0]):
        place = (start,) + (0,) * (source.ndim - 1)
        mask, data = source.id.read_direct_chunk(place)
        target.id.write_direct_chunk(place, data, mask)
