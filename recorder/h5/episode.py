"""One episode on its way into the file: parts fed from records, columns created and drained."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from recorder.format.layout import BEHAVIOR, COMMITTED, NEURAL, episode_path
from recorder.h5.chunking import Chunking
from recorder.h5.skeleton import create_episode, finish_episode
from recorder.h5.streams.column import Column
from recorder.h5.streams.part import Part
from recorder.h5.streams.rewards import RewardPart
from recorder.h5.streams.rows import Rows
from recorder.h5.streams.spikes import SpikePart
from recorder.h5.streams.tables import EventPart, WeightPart
from recorder.h5.streams.timed import TimedPart
from recorder.ring.record import Record

COUNTERS = 512
"""Counters in the one chunk that is rewritten in place: a page, so that no kill tears it."""

_LENGTH = struct.Struct("<I")


class EpisodeWriter:
    """All streams of one episode.

    Parameters
    ----------
    start : dict
        What ``start_episode`` said: ``episode_id``, ``start_time`` and the sampling rates.
    """

    def __init__(self, start: dict[str, Any], chunking: Chunking) -> None:
        self.start, self.chunking = start, chunking
        self.end: dict[str, Any] | None = None
        self.exists = False
        self.timesteps = 0
        self.parts: dict[str, Part] = {
            part.group: part
            for part in (
                TimedPart(NEURAL, chunking),
                SpikePart(chunking),
                TimedPart(BEHAVIOR, chunking),
                RewardPart(chunking),
                WeightPart(chunking),
                EventPart(chunking),
            )
        }
        self._group: h5py.Group | None = None
        self._counters = 0

    @property
    def episode_id(self) -> int:
        """The episode's id."""
        return int(self.start["episode_id"])

    @property
    def needs_structure(self) -> bool:
        """Whether something must be created or changed other than by appending."""
        if not self.exists or self.end is not None:
            return True
        return any((not column.exists and column.rows) or column.stale for column in self._columns())

    @property
    def waiting_bytes(self) -> int:
        """More than the next :meth:`append` can add to the file."""
        rows = sum(column.waiting * column.row_bytes for column in self._columns())
        return int(rows * 1.01) + 65536

    @property
    def waiting_steps(self) -> int:
        """Steps of which something waits for its chunk to fill."""
        return max((c.waiting for c in self._columns() if c.path.endswith("/timesteps")), default=0)

    def feed(self, record: Record) -> None:
        """Take a record's rows; the memory they are in must stay until :meth:`settle`."""
        rows = Rows(record)
        for part in self.parts.values():
            part.feed(rows)
        self.timesteps += rows.count

    def close(self, end: dict[str, Any]) -> None:
        """No more rows will come; ``end`` is what ``end_episode`` said."""
        self.end = end
        for part in self.parts.values():
            part.close()

    def restructure(self, file: h5py.File) -> None:
        """Within a transaction: create what is missing, append what is whole, finish what has ended."""
        final = self.end is not None
        group = self._group_in(file)
        for column in self._columns():
            if column.exists:
                column.attach(group)
                if column.stale:
                    column.write_attributes()
        for column in self._columns():
            if not column.exists and (final or column.rows):
                column.create(group, self.chunking, self._counters, final=final)
                self._counters += 1
        for column in self._columns():
            if column.exists:
                column.drain(self.chunking, final=final)
        for part in self.parts.values():
            for key, value in part.attributes().items():
                group[part.group].attrs[key] = value
        if final:
            self._finish(file, group)
        else:
            self._count(group, create=True)
        self.detach()

    def attach(self, file: h5py.File) -> None:
        """Use an open file for :meth:`append`."""
        self._group = file[episode_path(self.episode_id)]
        for column in self._columns():
            if column.exists:
                column.attach(self._group)

    def append(self) -> None:
        """Append whole chunks and publish them: chunks first, the counters that cover them last."""
        assert self._group is not None
        drained = [column for column in self._columns() if column.exists and column.drain(self.chunking)]
        if drained:
            for column in drained:
                column.flush()
            self._count(self._group, create=False)

    def detach(self) -> None:
        """Let go of the file."""
        self._group = None
        for column in self._columns():
            column.detach()

    def settle(self) -> None:
        """Own what waits for its chunk to fill."""
        for column in self._columns():
            column.settle()

    def state(self) -> bytes:
        """Everything that is neither in the file nor in records, for :meth:`restore`."""
        columns = list(self._columns())
        head = {
            "start": self.start,
            "exists": self.exists,
            "timesteps": self.timesteps,
            "counters": self._counters,
            "columns": [column.state() for column in columns],
            "parts": {name: part.state() for name, part in self.parts.items()},
        }
        raw = json.dumps(head, separators=(",", ":")).encode()
        return b"".join(
            [_LENGTH.pack(len(raw)), raw, *(column.waiting_rows().tobytes() for column in columns)]
        )

    @classmethod
    def restore(cls, state: bytes, chunking: Chunking) -> EpisodeWriter:
        """The episode that :meth:`state` described."""
        view = memoryview(state)
        (length,) = _LENGTH.unpack_from(view)
        at = _LENGTH.size + length
        head = json.loads(bytes(view[_LENGTH.size : at]))
        episode = cls(head["start"], chunking)
        episode.exists, episode.timesteps = head["exists"], head["timesteps"]
        episode._counters = head["counters"]
        columns: dict[str, Column] = {}
        for item in head["columns"]:
            size = item["waiting"] * np.dtype(item["dtype"]).itemsize * int(np.prod(item["shape"], dtype=int))
            columns[item["path"]] = Column.restore(item, view[at : at + size])
            at += size
        for name, part in episode.parts.items():
            part.restore(head["parts"][name], columns)
        return episode

    def totals(self) -> dict[str, Any]:
        """The episode's totals so far, as they will stand in its attributes."""
        totals: dict[str, Any] = {"total_timesteps": self.timesteps}
        for part in self.parts.values():
            totals.update(part.totals())
        if "total_spikes" in totals and self.timesteps:
            totals["spike_rate"] = totals["total_spikes"] / self.timesteps
        return totals

    def _columns(self) -> Iterator[Column]:
        for part in self.parts.values():
            yield from part.columns()

    def _group_in(self, file: h5py.File) -> h5py.Group:
        path = episode_path(self.episode_id)
        if self.exists:
            return file[path]
        if path in file:
            del file[path]
        self.exists = True
        return create_episode(file, self.episode_id, self.start)

    def _count(self, group: h5py.Group, *, create: bool) -> None:
        columns = [column for column in self._columns() if column.counter is not None]
        size = -(-max(1, self._counters) // COUNTERS) * COUNTERS
        counts = np.zeros(size, np.int64)
        for column in columns:
            counts[column.counter] = column.committed
        if create:
            if COMMITTED in group and len(group[COMMITTED]) != size:
                del group[COMMITTED]
            if COMMITTED not in group:
                group.create_dataset(COMMITTED, data=counts, chunks=(size,))
        dataset = group[COMMITTED]
        dataset.id.write_direct_chunk((0,), counts)
        dataset.flush()

    def _finish(self, file: h5py.File, group: h5py.Group) -> None:
        assert self.end is not None
        if COMMITTED in group:
            del group[COMMITTED]
        finish_episode(file, self.episode_id, self.totals(), self.end)
