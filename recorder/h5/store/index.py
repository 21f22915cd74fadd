"""The index of a kind: when its objects were, and their ids, in columns and in the order they came.

``rows`` has (timestamp float64, end int64) of each object, and its id is the bytes of ``names`` from the end
before to its own. ``blocks`` has the least and the greatest timestamp of each full block of rows, so that a
range costs what it returns, and a look at as many blocks as there are thousands of objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import h5py
import numpy as np
from h5py import h5s
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.storage import BLOCKS, INDEX, NAMES, ROWS
from recorder.h5 import make
from recorder.h5.reading.guard import damage
from recorder.h5.store.handle import Handle

ROW = np.dtype([("timestamp", "<f8"), ("end", "<i8")])
BLOCK = 1024
"""Rows of a block."""
_CHUNKS = {ROWS: 512, NAMES: 8192, BLOCKS: 512}
_TYPES: dict[str, tuple[Any, tuple[int, ...]]] = {
    ROWS: (ROW, ()),
    NAMES: (np.dtype(np.uint8), ()),
    BLOCKS: (np.dtype(np.float64), (2,)),
}
OTHERS = "others"
"""Attribute of an index: children of its group that are no objects."""
Found = list[tuple[float, str]]
"""Timestamps and ids."""


class Index:
    """The index of one kind in an open file; what is added waits for the end of the change.

    Parameters
    ----------
    handle : Handle
    kind : str
    """

    def __init__(self, handle: Handle, kind: str) -> None:
        self._kind, self._file = kind, handle.file
        self._where = f"/{INDEX}/{kind}"
        with damage(self._where):
            self._sets = {name: handle.file[f"{self._where}/{name}"] for name in _CHUNKS}
            self.stored = int(self._sets[ROWS].shape[0])
            self._end = int(self._sets[ROWS][self.stored - 1]["end"]) if self.stored else 0
            self._blocks = int(self._sets[BLOCKS].shape[0])
            self.others = int(handle.file[self._where].attrs.get(OTHERS, 0))
        self._new: list[tuple[float, bytes]] = []
        self._tail: list[NDArray[np.float64]] = []
        handle.before_commit.append(self._write)

    def __len__(self) -> int:
        return self.stored + len(self._new)

    def add(self, timestamp: float, name: str) -> None:
        """One more object."""
        self._new.append((timestamp, name.encode()))

    def _write(self) -> None:
        if not self._new:
            return
        rows = np.empty(len(self._new), ROW)
        rows["timestamp"] = [timestamp for timestamp, _ in self._new]
        rows["end"] = self._end + np.cumsum([len(name) for _, name in self._new])
        text = b"".join(name for _, name in self._new)
        _extend(self._sets[NAMES], self._end, np.frombuffer(text, np.uint8))
        _extend(self._sets[ROWS], self.stored, rows)
        self._end += len(text)
        self.stored += len(rows)
        self._new.clear()
        full = self.stored // BLOCK
        if full > self._blocks:
            times = self._sets[ROWS][self._blocks * BLOCK : full * BLOCK]["timestamp"].reshape(-1, BLOCK)
            _extend(self._sets[BLOCKS], self._blocks, np.stack([times.min(1), times.max(1)], 1))
            self._blocks = full

    def between(self, start: float, end: float) -> Found:
        """Objects with ``start <= timestamp <= end``, by timestamp and id.

        Raises
        ------
        DamagedError
        """
        found: Found = []
        with damage(self._where):
            bounds = self._sets[BLOCKS][:]
            wanted = np.flatnonzero((bounds[:, 1] >= start) & (bounds[:, 0] <= end))
            for first, last in _runs(wanted):
                found += self._part(first * BLOCK, last * BLOCK, start, end)
            found += self._part(self._blocks * BLOCK, self.stored, start, end)
        found += [(time, name.decode()) for time, name in self._new if start <= time <= end]
        found.sort()
        return found

    def _part(self, first: int, last: int, start: float, end: float) -> Found:
        if first >= last:
            return []
        before = first - (first > 0)
        rows = self._sets[ROWS][before:last]
        ends = rows["end"]
        begins = np.concatenate([[0], ends[:-1]]) if not first else ends[:-1]
        times, ends = rows["timestamp"][first - before :], ends[first - before :]
        if np.any(begins > ends) or (len(ends) and ends[-1] > self._sets[NAMES].shape[0]):
            raise DamagedError(f"{self._where}: its ends do not fit its names")
        hits = np.flatnonzero((times >= start) & (times <= end))
        if not len(hits):
            return []
        low, high = int(begins[hits[0]]), int(ends[hits[-1]])
        text = self._sets[NAMES][low:high].tobytes()
        a, b = begins[hits] - low, ends[hits] - low
        return [
            (time, text[i:j].decode())
            for time, i, j in zip(times[hits].tolist(), a.tolist(), b.tolist(), strict=True)
        ]

    def drop(self, handle: Handle) -> None:
        """Write nothing at the end of the change: another index takes this one's place."""
        self._new.clear()
        handle.before_commit.remove(self._write)

    def newest(self) -> str | None:
        """Id of the object that came last; None where there is none."""
        if self._new:
            return self._new[-1][1].decode()
        with damage(self._where):
            ends = self._sets[ROWS][max(0, self.stored - 2) : self.stored]["end"].tolist()
            if not ends:
                return None
            first = ends[0] if len(ends) > 1 else 0
            return str(self._sets[NAMES][first : ends[-1]].tobytes().decode())

    def everything(self) -> Found:
        """All objects in the order in which they came."""
        with damage(self._where):
            rows, text = self._sets[ROWS][:], self._sets[NAMES][:].tobytes()
        ends = rows["end"].tolist()
        names = (text[i:j].decode() for i, j in zip([0, *ends], ends, strict=False))
        found = list(zip(rows["timestamp"].tolist(), names, strict=True))
        return found + [(time, name.decode()) for time, name in self._new]


def _extend(dataset: Any, at: int, rows: NDArray[Any]) -> None:
    # By HDF5's own calls: h5py's selections take as long as all else that a store does.
    identifier, begin = dataset.id, (at,) + (0,) * (rows.ndim - 1)
    identifier.set_extent((at + len(rows), *rows.shape[1:]))
    space = identifier.get_space()
    space.select_hyperslab(begin, rows.shape)
    identifier.write(
        h5s.create_simple(rows.shape), space, np.ascontiguousarray(rows), make.type_of(rows.dtype)
    )


def _runs(numbers: NDArray[np.intp]) -> Iterable[tuple[int, int]]:
    """Consecutive numbers as (first, after last)."""
    if not len(numbers):
        return []
    cuts = np.flatnonzero(np.diff(numbers) > 1)
    firsts = numbers[np.concatenate([[0], cuts + 1])]
    lasts = numbers[np.concatenate([cuts, [len(numbers) - 1]])]
    return zip(firsts.tolist(), (lasts + 1).tolist(), strict=True)


def index_of(handle: Handle, kind: str) -> Index | None:
    """The index of a kind; None where the file has none."""
    if handle.group(f"{INDEX}/{kind}") is None:
        return None
    return handle.kept((INDEX, kind), lambda: Index(handle, kind))


def write_index(file: h5py.File, kind: str, found: Found, others: int = 0) -> None:
    """A new index of these objects, in place of the one of that kind.

    ``others`` things stand in the group that are no objects: they have no timestamp.
    """
    path = f"{INDEX}/{kind}"
    if path in file:
        del file[path]
    group = file.create_group(path)
    if others:
        group.attrs[OTHERS] = np.int64(others)
    names = [name.encode() for _, name in found]
    rows = np.empty(len(found), ROW)
    rows["timestamp"] = [timestamp for timestamp, _ in found]
    rows["end"] = np.cumsum([len(name) for name in names], dtype=np.int64)
    full = len(rows) // BLOCK
    times = rows["timestamp"][: full * BLOCK].reshape(-1, BLOCK)
    blocks = np.stack([times.min(1), times.max(1)], 1) if full else np.empty((0, 2))
    columns = {ROWS: rows, NAMES: np.frombuffer(b"".join(names), np.uint8), BLOCKS: blocks}
    for name, column in columns.items():
        dtype, tail = _TYPES[name]
        made = group.create_dataset(
            name,
            (len(column), *tail),
            dtype,
            maxshape=(None, *tail),
            chunks=(_CHUNKS[name], *tail),
            fletcher32=True,
        )
        if len(column):
            made[:] = column
