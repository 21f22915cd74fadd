"""Records of the ring into the file: streamed while an episode runs, in transactions at its ends.

The writer thread and repair use this same class, so a recovered file went the way a finished one goes.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py

from recorder.format.layout import INTERRUPTED, JOURNAL_SUFFIX, companion
from recorder.h5 import journal, superblock
from recorder.h5.chunking import Chunking
from recorder.h5.episode import EpisodeWriter
from recorder.h5.image import Image
from recorder.h5.live import LiveFile
from recorder.h5.pieces import tail
from recorder.h5.seal import worth_it
from recorder.h5.streams.pace import Pace
from recorder.h5.template import Template
from recorder.h5.transaction import transaction
from recorder.ring.record import END, LATER_ROWS, ROWS, START, Logged, Record

Change = Callable[[h5py.File], None]


@dataclass
class _Batch:
    """What was begun together, and ends together."""

    ended: list[EpisodeWriter]
    episode: EpisodeWriter | None
    streams: bool
    """Whether it is only appended."""
    state: bytes | None = None
    """What :meth:`Sink.end` returns, where another batch was begun before that."""


class Sink:
    """Applies records in order. Not thread-safe: one thread at a time.

    Parameters
    ----------
    path : Path
        The recording's file, which exists.
    chunking : Chunking
        How streams are compressed.
    pace : Pace or None
        By when readers shall see rows that fill no chunk yet; None where they need not.
    sync : bool
        ``durability="fsync"``: what :meth:`apply` returned for survives a power cut.
    """

    def __init__(
        self, path: Path, chunking: Chunking, *, pace: Pace | None = None, sync: bool = False
    ) -> None:
        self.path, self.chunking, self.sync = path, chunking, sync
        self._pace = pace
        self.episode: EpisodeWriter | None = None
        self._batches: deque[_Batch] = deque()
        self._upto = 0
        self._journal = companion(path, JOURNAL_SUFFIX)
        self._live: LiveFile | None = None
        self._template = Template()
        self._attached: EpisodeWriter | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._paged = superblock.is_extended(self._descriptor)

    def apply(self, records: Iterable[Record]) -> bytes:
        """:meth:`begin` and :meth:`end` in one."""
        self.begin(records)
        return self.end()

    def begin(self, records: Iterable[Record]) -> None:
        """Take what these records hold, and begin to encode it; their memory must stay until :meth:`end`.

        Where something was begun before and has not ended, only after :meth:`admits` said so.
        """
        records = list(records)
        for batch in self._batches:
            assert batch.episode is not None
            batch.state = batch.episode.hold()
        ended, self.episode = feed(records, self.episode, self.chunking)
        if self._pace is not None:
            self._pace.look()
        if self.episode is not None:
            self.episode.pace = self._pace
            self.episode.look()
        for episode in (*ended, *([] if self.episode is None else [self.episode])):
            episode.encode()
        self._upto = records[-1].seq + 1
        self._batches.append(_Batch(ended, self.episode, self._can_stream(ended)))

    @property
    def hides(self) -> bool:
        """Whether anything waits that readers do not see and shall see."""
        return self.episode is not None and self.episode.hides

    def show(self) -> None:
        """Have readers see all that was applied, where they shall, whether it is due or not.

        Raises
        ------
        OSError, RuntimeError
            As :meth:`end`.
        """
        assert not self._batches
        if self.episode is None or not self.episode.hides:
            return
        self.episode.look(hurry=True)
        self.episode.encode()
        # The state that is known stays true: what is shown still waits.
        self._batches.append(_Batch([], self.episode, self._can_stream([])))
        self.end()

    def admits(self, records: Iterable[Record]) -> bool:
        """Whether these may be begun although what was begun before has not ended.

        They are encoded then while that is written. One may overtake so, and only what is appended.
        """
        alone = len(self._batches) == 1 and self._batches[0].streams
        return alone and all(record.kind == ROWS for record in records)

    def end(self) -> bytes:
        """Store what was begun, the first of two; returns the state to go on from.

        Raises
        ------
        OSError, RuntimeError
            HDF5 or the file system refused; the caller must not apply anything further.
        """
        batch = self._batches[0]
        if batch.streams:
            assert batch.episode is not None
            try:
                self._stream(batch.episode)
            except BaseException:
                self._forsake_live()
                raise
        elif batch.ended or batch.episode is not None:
            self._restructure(batch)
        self._batches.popleft()
        if batch.episode is None:
            return b""
        if batch.state is not None:
            batch.episode.release()
            return batch.state
        batch.episode.settle()
        return batch.episode.state()

    def change(self, change: Change, ahead: Callable[[int], bytearray] | None = None) -> None:
        """One structural change: all of it, or its exception and none of it.

        ``ahead`` makes bytes that are appended to the file before.
        """
        self._leave_live()
        note = self._note if self.sync else None
        with transaction(self.path, self._journal, note=note, ahead=ahead) as file:
            change(file)

    def close(self) -> None:
        """Let go of the file, which is then as plain as any."""
        try:
            self._leave_live()
            if self._descriptor >= 0:
                os.ftruncate(self._descriptor, superblock.end_of(self._descriptor))
            if self.sync and self._descriptor >= 0:
                os.fsync(self._descriptor)
                journal.discard(self._journal, sync=True)
        finally:
            self._close_descriptor()

    def abandon(self) -> None:
        """Let go of the file after an error, which nothing that follows must hide."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._forsake_live()
        self._close_descriptor()

    def disown(self) -> None:
        """In a forked child: nothing that HDF5 still does may reach the parent's file."""
        if self._live is not None:
            self._live.disown()
        self._close_descriptor()

    def _can_stream(self, ended: list[EpisodeWriter]) -> bool:
        # SWMR appends change metadata in place, one by one: only a transaction survives a power cut. And what
        # HDF5 keeps of a file in pages it reads again when it closes it; a live file has it no more then.
        if ended or self.sync or self._paged or self.episode is None:
            return False
        return not self.episode.needs_structure

    def _restructure(self, batch: _Batch) -> None:
        image: Image | None = None
        ended = batch.ended

        def ahead(end: int) -> bytearray:
            nonlocal image
            image = Image(end)
            for done in ended:
                done.image(image)
            return image.finish()

        def change(file: h5py.File) -> None:
            if image is not None:
                image.link(file)
            restructure(file, ended, batch.episode, self._template)

        self.change(change, ahead if worth_it(len(ended)) else None)

    def _stream(self, episode: EpisodeWriter) -> None:
        if self._live is None:
            self._live = LiveFile(self.path, self._descriptor)
            episode.attach(self._live.file)
            self._attached = episode
        self._live.extend(episode.waiting_bytes)
        episode.append()

    def _note(self) -> journal.Note:
        return journal.Note(self._upto, b"" if self.episode is None else self.episode.state())

    def _leave_live(self) -> None:
        live = self._take_live()
        if live is not None:
            live.close()

    def _forsake_live(self) -> None:
        live = self._take_live(detach=False)
        if live is not None:
            live.forsake()

    def _take_live(self, *, detach: bool = True) -> LiveFile | None:
        live, attached, self._live, self._attached = self._live, self._attached, None, None
        if detach and attached is not None:
            attached.detach()
        return live

    def _close_descriptor(self) -> None:
        self._template.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def feed(
    records: Iterable[Logged], episode: EpisodeWriter | None, chunking: Chunking
) -> tuple[list[EpisodeWriter], EpisodeWriter | None]:
    """Hand records to their episodes; returns the episodes that ended and the one that is open."""
    ended: list[EpisodeWriter] = []
    for record in records:
        if record.kind == START:
            # One of the same number is the rest of a start that was interrupted, and has no steps.
            if episode is not None and episode.episode_id != record.meta["start"]["episode_id"]:
                # Whatever kept its end from being logged: its steps are there, and so it ends.
                episode.close({"end_time": record.meta["start"]["start_time"], "status": INTERRUPTED})
                ended.append(episode)
            episode = EpisodeWriter(record.meta["start"], chunking)
        elif episode is not None and record.kind == ROWS:
            episode.feed(record)
        elif episode is not None and record.kind == LATER_ROWS:
            assert isinstance(record, Record)
            episode.feed(tail(record, record.skip))
        elif episode is not None and record.kind == END:
            episode.close(record.meta["end"])
            ended.append(episode)
            episode = None
    return ended, episode


def restructure(
    file: h5py.File, ended: list[EpisodeWriter], episode: EpisodeWriter | None, template: Template
) -> None:
    """Within a transaction: have in the file what is due of episodes that ended, and of the open one."""
    for done in ended:
        done.restructure(file, template)
    if episode is not None:
        episode.restructure(file, template)
