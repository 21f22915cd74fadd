"""Records of the ring into the file: streamed while an episode runs, in transactions at its ends.

The writer thread and repair use this same class, so a recovered file went the way a finished one goes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py

from recorder.format.layout import INTERRUPTED, JOURNAL_SUFFIX
from recorder.h5.chunking import Chunking
from recorder.h5.episode import EpisodeWriter
from recorder.h5.live import LiveFile
from recorder.h5.transaction import transaction
from recorder.ring.record import END, ROWS, START, Record

Change = Callable[[h5py.File], None]


class Sink:
    """Applies records in order. Not thread-safe: one thread at a time.

    Parameters
    ----------
    path : Path
        The recording's file, which exists.
    chunking : Chunking
        How streams are compressed.
    sync : bool
        ``durability="fsync"``: what :meth:`apply` returned for survives a power cut.
    """

    def __init__(self, path: Path, chunking: Chunking, *, sync: bool = False) -> None:
        self.path, self.chunking, self.sync = path, chunking, sync
        self.episode: EpisodeWriter | None = None
        self._journal = path.with_name(path.name + JOURNAL_SUFFIX)
        self._live: LiveFile | None = None
        self._attached: EpisodeWriter | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def apply(self, records: Iterable[Record]) -> bytes:
        """Store what these records hold, and return the state to go on from.

        Raises
        ------
        OSError, RuntimeError
            HDF5 or the file system refused; the caller must not apply anything further.
        """
        ended, self.episode = feed(records, self.episode, self.chunking)
        episode = self.episode
        if ended or (episode is not None and episode.needs_structure):
            self.change(lambda file: _restructure(file, ended, episode))
        elif episode is not None:
            self._stream(episode)
        if episode is None:
            return b""
        episode.settle()
        return episode.state()

    def change(self, change: Change) -> None:
        """One structural change: all of it, or its exception and none of it."""
        self._leave_live()
        with transaction(self.path, self._journal, sync=self.sync) as file:
            change(file)

    def close(self) -> None:
        """Let go of the file, which is then as plain as any."""
        try:
            self._leave_live()
        finally:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def abandon(self) -> None:
        """Let go of the file after an error: whatever HDF5 still says must not hide that error."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self.close()

    def disown(self) -> None:
        """In a forked child: nothing that HDF5 still does may reach the parent's file."""
        if self._live is not None:
            self._live.disown()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _stream(self, episode: EpisodeWriter) -> None:
        if self._live is None:
            self._live = LiveFile(self.path, self._descriptor)
            episode.attach(self._live.file)
            self._attached = episode
        self._live.extend(episode.waiting_bytes)
        episode.append()
        if self.sync:
            os.fsync(self._descriptor)

    def _leave_live(self) -> None:
        if self._live is not None:
            if self._attached is not None:
                self._attached.detach()
            live, self._live, self._attached = self._live, None, None
            live.close()


def feed(
    records: Iterable[Record], episode: EpisodeWriter | None, chunking: Chunking
) -> tuple[list[EpisodeWriter], EpisodeWriter | None]:
    """Hand records to their episodes; returns the episodes that ended and the one that is open."""
    ended: list[EpisodeWriter] = []
    for record in records:
        if record.kind == START:
            if episode is not None:
                # Whatever kept its end from being logged: its steps are there, and so it ends.
                episode.close({"end_time": record.meta["start"]["start_time"], "status": INTERRUPTED})
                ended.append(episode)
            episode = EpisodeWriter(record.meta["start"], chunking)
        elif episode is not None and record.kind == ROWS:
            episode.feed(record)
        elif episode is not None and record.kind == END:
            episode.close(record.meta["end"])
            ended.append(episode)
            episode = None
    return ended, episode


def _restructure(file: h5py.File, ended: list[EpisodeWriter], episode: EpisodeWriter | None) -> None:
    for done in ended:
        done.restructure(file)
    if episode is not None:
        episode.restructure(file)
