"""One episode on its way into the file: parts fed from records, columns created and drained."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.format import deflate
from recorder.format.layout import (
    ACCOUNT,
    ATTRIBUTE_LIMIT,
    BEHAVIOR,
    COMMITTED,
    NEURAL,
    PRECISION,
    episode_path,
)
from recorder.h5.chunking import Chunking
from recorder.h5.image import MOST_DATASETS, Image
from recorder.h5.skeleton import create_episode, first_attributes, last_attributes, put_contents
from recorder.h5.streams.clock import restored
from recorder.h5.streams.column import Column
from recorder.h5.streams.pace import Pace
from recorder.h5.streams.part import Part
from recorder.h5.streams.rewards import RewardPart
from recorder.h5.streams.rows import Rows
from recorder.h5.streams.spikes import SpikePart
from recorder.h5.streams.tables import EventPart, WeightPart
from recorder.h5.streams.timed import TimedPart
from recorder.h5.template import Template
from recorder.ring.record import Logged

COUNTERS = 512
"""Counters in the one chunk that is rewritten in place: a page, so that no kill tears it."""

MORE_THAN_ROWS = 64
"""Bytes that an encoded chunk has at most beyond its rows and a hundredth of them."""

_LENGTH = struct.Struct("<I")

_Left = tuple[dict[str, bytes], list[Column]]
"""What is written one by one once the rest of an episode is in the file."""


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
        self.recovering = False
        """Whether this is a repair, whose rows come from the ring but for those that were committed."""
        self._steps_before = 0
        self._rows_before: dict[str, int] = {}
        self.parts: dict[str, Part] = {
            part.group: part
            for part in (
                TimedPart(NEURAL, chunking, start.get(PRECISION, {})),
                SpikePart(chunking),
                TimedPart(BEHAVIOR, chunking, start.get(PRECISION, {})),
                RewardPart(chunking),
                WeightPart(chunking),
                EventPart(chunking),
            )
        }
        self.pace: Pace | None = None
        """How often what fills no chunk is to be in the file as well; None for never."""
        self._group: h5py.Group | None = None
        self._left: _Left | None = None
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
        return bool(self._new_columns()) or any(column.stale for column in self._columns())

    @property
    def waiting_bytes(self) -> int:
        """More than the next :meth:`append` can add to the file."""
        columns = list(self._columns())
        rows = sum(column.waiting * column.row_bytes for column in columns)
        chunks = sum(column.waiting // column.chunk_rows for column in columns)
        if self.pace is not None:
            rows += sum(column.chunk_rows * column.row_bytes for column in columns)
            chunks += len(columns)
        return int(rows * 1.01) + MORE_THAN_ROWS * chunks + 65536

    @property
    def waiting_steps(self) -> int:
        """Steps of which something waits for its chunk to fill."""
        return max((c.waiting for c in self._columns() if c.path.endswith("/timesteps")), default=0)

    def feed(self, record: Logged) -> None:
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
        for column in self._columns():
            column.end()

    def look(self, *, hurry: bool = False) -> None:
        """Decide what is shown of what fills no chunk, before that is encoded; with ``hurry`` all of it."""
        if self.pace is None or self.end is not None:
            return
        more = self._open_rows()
        columns = list(self._columns())
        ahead = self.chunking.outside

        def look(column: Column, hurry: bool) -> None:
            assert self.pace is not None
            column.look(self.pace, len(more.get(id(column), ())), ahead=ahead, hurry=hurry)

        for column in columns:
            look(column, hurry)
        if any(c.stale or c.source or (c.wanted and not c.exists and c.rows) for c in columns):
            # The file's structure changes anyway: then all there is of it, and only once.
            for column in columns:
                if not (column.exists or column.wanted):
                    look(column, hurry=True)

    @property
    def hides(self) -> bool:
        """Whether rows wait that are not shown."""
        return self.pace is not None and any(column.hides for column in self._columns())

    def encode(self) -> None:
        """Begin to encode what is to be appended, by threads where there are any; nothing is fed until it is.

        Who appends does this first, if nobody has. An episode that ended before it was in the file is laid
        out as a whole, which decides its chunks.
        """
        if self.exists or self.end is None:
            self._encode(self._columns())

    def _encode(self, columns: Iterable[Column]) -> None:
        for column in columns:
            column.encode(self.chunking, final=self.end is not None)
        deflate.start()

    def hold(self) -> bytes:
        """Let more be fed before the next :meth:`append`, which leaves it alone; the state after that."""
        self.settle()
        state = self.state()
        for column in self._columns():
            column.hold()
        return state

    def release(self) -> None:
        """After that :meth:`append`: the next one takes all there is."""
        for column in self._columns():
            column.release()

    def restructure(self, file: h5py.File, template: Template) -> None:
        """Within a transaction: create what is missing, append what was encoded, finish what has ended."""
        final = self.end is not None
        if final and not self.exists:
            self._remove_from(file)
            self._lay_out(template, list(self._columns()))
            template.copy_to(file.id, episode_path(self.episode_id))
        if self._left is not None:
            self._write_left(file, *self._left)
            return
        self.encode()
        group = self._group_in(file)
        for column in self._columns():
            if column.exists:
                column.attach(group)
                if column.stale:
                    column.write_attributes()
        for column in self._new_columns():
            column.create(group, self.chunking, self._counters, final=final)
            self._counters += 1
        for column in self._columns():
            if column.exists:
                column.drain()
        if not final:
            self._show()
        for part in self.parts.values():
            for key, value in part.attributes().items():
                group[part.group].attrs[key] = value
        if final:
            self._finish(group)
        else:
            self._count(group, create=True)
        self.detach()

    def image(self, image: Image) -> None:
        """Become part of ``image``, if it has ended, is not in the file and has few datasets."""
        columns = list(self._columns())
        if self.end is None or self.exists or len(columns) > MOST_DATASETS:
            return
        self._lay_out(image, columns)
        image.end(episode_path(self.episode_id).rpartition("/")[2])

    def _lay_out(self, target: Template | Image, columns: list[Column]) -> None:
        """Lay out an episode that ended before it was in the file: nothing of it will change any more."""
        self.exists = True
        contents = first_attributes(self.episode_id, self.start) | self._last()
        large = {k: v for k, v in contents.items() if isinstance(v, bytes) and len(v) > ATTRIBUTE_LIMIT}
        target.group("", {key: value for key, value in contents.items() if key not in large})
        for part in self.parts.values():
            target.group(part.group, part.attributes())
        left = [
            column
            for counter, column in enumerate(columns)
            if not column.lay_out(target, self.chunking, counter)
        ]
        self._left = large, left

    def _write_left(self, file: h5py.File, large: dict[str, bytes], columns: list[Column]) -> None:
        if not (columns or large):
            return
        group = file[episode_path(self.episode_id)]
        put_contents(group, large)
        self._encode(columns)
        for column in columns:
            column.create(group, self.chunking, 0, final=True)
            column.drain()
            column.detach()

    def attach(self, file: h5py.File) -> None:
        """Use an open file for :meth:`append`."""
        self._group = file[episode_path(self.episode_id)]
        for column in self._columns():
            if column.exists:
                column.attach(self._group)

    def append(self) -> None:
        """Append what was encoded and publish it: chunks first, the counters that cover them last."""
        assert self._group is not None
        self.encode()
        stored = {id(c): c for c in self._columns() if c.exists and c.drain()}
        stored |= {id(c): c for c in self._show()}
        if stored:
            for column in stored.values():
                column.flush()
            self._count(self._group, create=False)

    def _show(self) -> list[Column]:
        """Store what waits for its chunk to fill, if that is asked for; returns the columns that had any."""
        if self.pace is None:
            return []
        more = self._open_rows()
        return [c for c in self._columns() if c.exists and c.due and c.show(self.chunking, more.get(id(c)))]

    def _open_rows(self) -> dict[int, NDArray[Any]]:
        return {id(column): rows for part in self.parts.values() for column, rows in part.open_rows()}

    def _new_columns(self) -> list[Column]:
        """Columns that the file must get."""
        missing = [column for column in self._columns() if not column.exists]
        if self.end is not None:
            return missing
        more = self._open_rows() if self.pace is not None and missing else {}
        there = [column for column in missing if column.rows or id(column) in more]
        return there if self.pace is None else [column for column in there if column.wanted]

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
            columns[item["path"]] = restored(item, view[at : at + size])
            at += size
        for name, part in episode.parts.items():
            part.restore(head["parts"][name], columns)
            episode._rows_before |= part.whole()
        episode._steps_before = episode.timesteps - episode.waiting_steps
        return episode

    def totals(self) -> dict[str, Any]:
        """The episode's totals so far, as they will stand in its attributes."""
        totals: dict[str, Any] = {"total_timesteps": self.timesteps}
        for part in self.parts.values():
            totals.update(part.totals())
        if "total_spikes" in totals and self.timesteps:
            totals["spike_rate"] = totals["total_spikes"] / self.timesteps
        return totals

    def accounts(self) -> dict[str, dict[str, int]]:
        """Rows logged, committed, recovered and dropped by stream; {} where nothing was lost or brought back.

        Committed is what was in the file when the writer died, recovered what a repair adds to that.
        """
        assert self.end is not None
        lost: dict[str, int] = self.end.get("dropped", {})
        if not (lost or self.recovering):
            return {}
        rows = {name: n for part in self.parts.values() for name, n in part.rows().items()}
        before = self._rows_before if self.recovering else rows
        found = {}
        for name in dict.fromkeys([*rows, *lost]):
            total, dropped = rows.get(name, 0), lost.get(name, 0)
            kept = min(total, before.get(name, 0))
            found[name] = dict(zip(ACCOUNT, (total + dropped, kept, total - kept, dropped), strict=True))
        return found if any(a["recovered"] or a["dropped"] for a in found.values()) else {}

    def _columns(self) -> Iterator[Column]:
        for part in self.parts.values():
            yield from part.columns()

    def _group_in(self, file: h5py.File) -> h5py.Group:
        if self.exists:
            return file[episode_path(self.episode_id)]
        self._remove_from(file)
        self.exists = True
        return create_episode(file, self.episode_id, self.start)

    def _remove_from(self, file: h5py.File) -> None:
        """Remove what an interrupted change may have left of this episode."""
        path = episode_path(self.episode_id)
        if file.id.links.exists(path.encode()):
            del file[path]

    def _count(self, group: h5py.Group, *, create: bool) -> None:
        columns = [column for column in self._columns() if column.counter is not None]
        size = -(-max(1, self._counters) // COUNTERS) * COUNTERS
        counts = np.zeros(size, np.int64)
        for column in columns:
            counts[column.counter] = column.visible
        if create:
            if COMMITTED in group and len(group[COMMITTED]) != size:
                del group[COMMITTED]
            if COMMITTED not in group:
                group.create_dataset(COMMITTED, data=counts, chunks=(size,))
        dataset = group[COMMITTED]
        dataset.id.write_direct_chunk((0,), counts)
        dataset.flush()

    def _finish(self, group: h5py.Group) -> None:
        if COMMITTED in group:
            del group[COMMITTED]
        put_contents(group, self._last())

    def _last(self) -> dict[str, Any]:
        assert self.end is not None
        recovered = self.timesteps - self._steps_before if self.recovering else 0
        return last_attributes(self.totals(), self.end, recovered=recovered, accounts=self.accounts())
