"""One dataset that grows by whole chunks, and the rows that wait for their chunk to fill."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Self

import h5py
import numpy as np
from h5py import h5d
from numpy.typing import NDArray

from recorder.format.deflate import UNFILTERED, Stored, joined
from recorder.format.layout import COUNTER, PRECISION
from recorder.format.rounding import rounded
from recorder.h5 import make
from recorder.h5.chunking import Chunking
from recorder.h5.image import Image
from recorder.h5.streams.pace import Pace
from recorder.h5.streams.tail import Tail
from recorder.h5.template import LARGEST, Template

ITEM_CHUNK = 16_384
"""Rows of a chunk of what is not one row a step: intervals, anchors, runs, bytes of events."""


class Column:
    """Rows of one dtype and shape on their way into one dataset.

    Rows are pushed as views, encoded and drained in whole chunks, and what is left is copied by
    :meth:`settle` before the memory of the views is given back.
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
        self.tail = Tail()
        self.due = False
        """Whether what fills no chunk is to be in the file with the next look."""
        self.wanted = True
        """Whether the dataset is to be there, whatever is in it."""
        self._since: float | None = None
        """When no row had been logged yet that waits and is not shown."""
        self._looked = 0
        """Rows at the last look, those included that may still have changed."""
        self._pending: list[NDArray[Any]] = []
        self._encoded: deque[tuple[int, Callable[[], Stored] | NDArray[Any]]] = deque()
        """Rows of each chunk that was taken from what waits, and the chunk, or how to wait for it."""
        self._shown: list[NDArray[Any]] = []
        """Parts of the first of these chunks, where some of its rows were shown."""
        self._held: int | None = None
        """How many of these the next :meth:`drain` takes; None for all."""
        self._dataset: h5d.DatasetID | None = None

    @property
    def rows(self) -> int:
        """Rows so far, in the file or waiting."""
        return self.committed + self.waiting

    @property
    def stored(self) -> int:
        """Rows that are in the file once all that is encoded is."""
        return self.committed + self._taken

    @property
    def exists(self) -> bool:
        """Whether the dataset is in the file."""
        return self.counter is not None

    @property
    def fresh(self) -> bool:
        """Whether its chunks may still have any number of rows."""
        return not (self.exists or self.stored or self.source)

    def set_attribute(self, name: str, value: Any) -> None:
        """An attribute of the dataset; one that exists gets it with the next structural change."""
        self.attributes[name] = value
        self.stale = self.exists

    def push(self, rows: NDArray[Any]) -> None:
        """More rows; a view, which must stay as it is until they are drained or settled."""
        assert not self._encoded or self._held is not None
        if len(rows):
            self._pending.append(rows)
            self.waiting += len(rows)

    def end(self) -> None:
        """No more rows will come."""

    def fork(self, path: str) -> Self:
        """A column of its own with the same rows so far; its dataset begins as a copy of this one's."""
        assert not self._encoded or self._held == len(self._encoded)
        other = type(self)(path, self.dtype, self.shape, self.chunk_rows, dict(self.attributes))
        # What is encoded will be in the file before a dataset of this column is made.
        other._pending, other.waiting = list(self._pending), self.waiting - self._taken
        if self.exists and self.stored:
            other.source, other.committed = self.path, self.stored
        # Readers may have seen its rows in the other dataset: here they are late.
        other._since, other._looked = -math.inf, other.rows
        return other

    def create(self, episode: h5py.Group, chunking: Chunking, counter: int, *, final: bool) -> None:
        """Create the dataset, in place of what an interrupted change may have left there."""
        path = self.path.encode()
        if episode.id.links.exists(path):
            episode.id.unlink(path)
        sides = tuple(max(1, side) for side in self.shape)
        keywords = chunking.keywords_for(self.dtype, self.chunk_rows * self.row_bytes // self.dtype.itemsize)
        dataset = make.growing(episode.id, path, self.dtype, self.shape, (self.chunk_rows, *sides), keywords)
        if not final:
            make.attribute(dataset, COUNTER, make.content_of(counter))
        self.counter, self._dataset = counter, dataset
        self.write_attributes()
        if self.source is not None:
            _copy_chunks(h5d.open(episode.id, self.source.encode()), dataset, self.committed, self.shape)
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
            make.put_attribute(self._dataset, key, make.content_of(value))
        self.stale = False

    def attach(self, episode: h5py.Group) -> None:
        """Use this group's dataset from now on, cut back to what is known to be whole."""
        dataset = h5d.open(episode.id, self.path.encode())
        if dataset.shape[0] not in (self.committed, self.committed + self.tail.rows):
            dataset.set_extent((self.committed, *self.shape))
        self._dataset = dataset

    def detach(self) -> None:
        """Let go of the dataset, whose file is about to be closed."""
        self._dataset = None

    def encode(self, chunking: Chunking, *, final: bool = False) -> None:
        """Begin to encode all whole chunks, with ``final`` the rest too: :meth:`drain` waits for them.

        Nothing may be pushed in between.
        """
        left = self.waiting - self._taken
        if final and not self.exists and self.source is None and not self._encoded:
            self.chunk_rows = max(1, min(self.chunk_rows, left))
        while left >= self.chunk_rows or (final and left):
            rows = min(self.chunk_rows, left)
            parts = [self._rounded(part) for part in self._take(rows)]
            if self.tail.rows and not self._encoded:
                self._shown = parts
            if chunking.outside and 0 not in self.shape:
                self._encoded.append((rows, chunking.begin(parts, self.chunk_rows)))
            else:
                self._encoded.append((rows, joined(parts, rows)))
            left -= rows

    def drain(self) -> bool:
        """Append the chunks that were encoded, with :meth:`hold` those before it. True if there were any."""
        chunks = len(self._encoded) if self._held is None else self._held
        if not chunks:
            return False
        dataset = self._dataset
        assert dataset is not None
        new = sum(rows for rows, _ in islice(self._encoded, chunks))
        dataset.set_extent((self.committed + new, *self.shape))
        for _ in range(chunks):
            rows, made = self._encoded[0]
            if isinstance(made, np.ndarray):
                h5py.Dataset(dataset)[self.committed : self.committed + rows] = made
            else:
                data, mask = made()
                if not self._is_there(rows):
                    if self.tail.clashes(len(data)):
                        whole = np.ascontiguousarray(joined(self._shown, self.chunk_rows))
                        data, mask = whole.reshape(-1).view(np.uint8), UNFILTERED
                    dataset.write_direct_chunk((self.committed,) + (0,) * len(self.shape), data, mask)
                self.tail, self._shown = Tail(), []
            self._encoded.popleft()
            self.committed += rows
            self.waiting -= rows
        return True

    def look(self, pace: Pace, more: int, *, ahead: bool, hurry: bool = False) -> None:
        """Decide whether what fills no chunk can wait; before it is encoded, and with ``hurry`` it cannot.

        ``more`` rows after it may still change; ``ahead`` says that what is foreseen can be stored.
        """
        rows, before = self.rows + more, self._looked
        self._looked = rows
        self._wait_since(pace, rows, more, before)
        self.due = hurry or self._is_due(pace)
        if not (self.fresh and rows):
            self.wanted = True
            return
        self.wanted = self.due or rows >= self.chunk_rows
        if self.wanted and self._since is not None and not (ahead and self.foreseen):
            self.chunk_rows = pace.chunk_rows(rows, self.row_bytes, self.chunk_rows, self._since)
            # Some of them fill chunks of that size, and the rest may be newer.
            self._wait_since(pace, rows, more, before)
            self.due = hurry or self._is_due(pace)

    def _wait_since(self, pace: Pace, rows: int, more: int, before: int) -> None:
        whole = (self.waiting - self._taken) // self.chunk_rows * self.chunk_rows
        first = max(self.stored + whole, self.visible - more)
        if rows <= first:
            self._since = None
        elif self._since is None or first >= before:
            self._since = pace.before

    def _is_due(self, pace: Pace) -> bool:
        return self._since is not None and pace.due(self._since)

    @property
    def foreseen(self) -> bool:
        """Whether rows to come are known well enough to be stored ahead; only timesteps are."""
        return False

    @property
    def hides(self) -> bool:
        """Whether rows wait that are not shown."""
        return self._since is not None

    def show(self, chunking: Chunking, more: NDArray[Any] | None = None) -> bool:
        """Store what waits as well, in a chunk that is replaced once it is full. True if anything was new.

        ``more`` are rows after these that may still change.
        """
        # What HDF5 filters itself it cannot rewrite in one place.
        if self._encoded or not chunking.outside or 0 in self.shape or self.source is not None:
            return False
        rows = self.waiting_rows()
        if more is not None:
            rows = np.concatenate([rows, more])
        if len(rows) > self.chunk_rows:
            return False
        assert self._dataset is not None
        self._since = None
        shown = self._rounded(rows)
        return self.tail.store(self._dataset, self.committed, shown, self.chunk_rows, chunking)

    @property
    def visible(self) -> int:
        """Rows in the file, those included that wait and were shown."""
        return self.committed + self.tail.rows

    def hold(self) -> None:
        """Let more be pushed and encoded before the next :meth:`drain`, which leaves that alone."""
        self._held = len(self._encoded)

    def release(self) -> None:
        """After that :meth:`drain`: the next one takes all there is."""
        self._held = None

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
        """Everything but the waiting rows, as JSON, once all that is encoded is in the file.

        :meth:`restore` is its inverse.
        """
        return {
            "path": self.path,
            "dtype": self.dtype.str,
            "shape": list(self.shape),
            "chunk_rows": self.chunk_rows,
            "attributes": self.attributes,
            "committed": self.stored,
            "waiting": self.waiting - self._taken,
            "counter": self.counter,
        }

    @classmethod
    def restore(cls, state: dict[str, Any], blob: memoryview) -> Self:
        """The column that :meth:`state` describes, with its waiting rows from ``blob``."""
        dtype, shape = np.dtype(state["dtype"]), tuple(state["shape"])
        column = cls(state["path"], dtype, shape, state["chunk_rows"], state["attributes"])
        column.committed, column.counter = state["committed"], state["counter"]
        column.push(np.frombuffer(blob, dtype).reshape(state["waiting"], *shape))
        return column

    @property
    def _taken(self) -> int:
        return sum(rows for rows, _ in self._encoded)

    def _is_there(self, rows: int) -> bool:
        return bool(self._shown) and self.tail.holds(joined(self._shown, rows))

    def _take(self, rows: int) -> list[NDArray[Any]]:
        parts: list[NDArray[Any]] = []
        while rows:
            head = self._pending[0]
            if len(head) <= rows:
                parts.append(self._pending.pop(0))
            else:
                parts.append(head[:rows])
                self._pending[0] = head[rows:]
            rows -= len(parts[-1])
        return parts

    def _rounded(self, rows: NDArray[Any]) -> NDArray[Any]:
        return rounded(rows, self.attributes[PRECISION]) if PRECISION in self.attributes else rows


def _copy_chunks(source: h5d.DatasetID, target: h5d.DatasetID, rows: int, shape: tuple[int, ...]) -> None:
    target.set_extent((rows, *shape))
    for start in range(0, rows, source.get_create_plist().get_chunk()[0]):
        place = (start,) + (0,) * len(shape)
        mask, data = source.read_direct_chunk(place)
        target.write_direct_chunk(place, data, mask)
