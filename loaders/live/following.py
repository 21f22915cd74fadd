"""From one look at a recording to the next: what is new, from its ring or, where that went on, its file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from loaders.live.update import Update, logged, stored
from recorder.errors import ReadError
from recorder.format.layout import RUNNING
from recorder.h5.living import (
    ROWS,
    START,
    EpisodeIndex,
    Follower,
    Overtaken,
    Piece,
    Ring,
    is_held,
    is_local,
    open_for_reading,
    open_snapshot,
    present,
    ring_of,
    stamp_of,
    waiting_in,
)

_PATIENCE, _PAUSE = 10.0, 0.002

MOST = 1 << 16
"""Rows of a stream in an update that is read from the file: memory stays small however much was missed."""


class Following:
    """What has been taken of a recording, and what comes next.

    Attributes
    ----------
    over : bool
        Nobody writes the recording any more, and all of it was taken.
    remote : bool
        Another machine writes it: its ring cannot be relied on here, and rows come once they are committed.

    Parameters
    ----------
    path : Path
        The HDF5 file of a recording, which is being written or not.
    history : bool
        Begin with what was logged before, instead of now.

    Raises
    ------
    DamagedError
        Its ring is none.
    """

    def __init__(self, path: Path, *, history: bool) -> None:
        self.path, self.over = path, False
        self._episode: int | None = None
        self._begun = False
        self._taken: dict[str, int] = {}
        self._ended: set[int] = set()
        self._follower: Follower | None = None
        self._ring = _ring_of(path)
        self.remote = self._ring is not None and not is_local(self._ring)
        if not history:
            for _ in self._caught_up(skip=True):
                pass

    def close(self) -> None:
        """Let go of the ring."""
        if self._ring is not None:
            self._ring.close(unlink=False)

    def take(self) -> Iterator[Update]:
        """What is new since the last call; nothing if nothing is.

        Raises
        ------
        ReadError
            The file changes faster than it can be read. What was yielded is not repeated.
        """
        # Asked before: what a dead writer logged is all there by now.
        alive = self._alive()
        if self._follower is not None:
            try:
                pieces = self._follower.take()
            except Overtaken:
                self._follower = None
            else:
                yield from self._told(pieces)
        if self._follower is None:
            yield from self._caught_up()
        self.over = not alive

    def _alive(self) -> bool:
        # Locks of another machine may not reach this one; its writer removes the ring when it is done.
        return is_held(self.path) or (self.remote and ring_of(self.path).exists())

    def _told(self, pieces: Sequence[Piece]) -> Iterator[Update]:
        """Rows of the ring, by episode."""
        rows: list[Piece] = []
        begins = False
        for piece in pieces:
            if piece.kind == ROWS:
                rows.append(piece)
                continue
            if self._episode is not None:
                yield self._counted(logged(self._episode, rows, begins=begins, ends=True))
                self._ended.add(self._episode)
            rows, begins = [], piece.kind == START
            self._turn_to(int(piece.meta["start"]["episode_id"]) if begins else None)
        if self._episode is not None and (rows or begins):
            yield self._counted(logged(self._episode, rows, begins=begins, ends=False))

    def _caught_up(self, *, skip: bool = False) -> Iterator[Update]:
        """What the follower has missed, from the file; another follower goes on behind it."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                with self._present() as (file, follower):
                    yield from self._missed(file, skip=skip)
                self._follower = follower
                return
            except (ReadError, OSError) as error:
                if time.monotonic() > deadline:
                    raise ReadError(f"{self.path} changes faster than it can be read: {error}") from error
                time.sleep(_PAUSE)

    @contextlib.contextmanager
    def _present(self) -> Iterator[tuple[Any, Follower | None]]:
        if self._ring is None or not self._alive():
            with contextlib.closing(open_for_reading(self.path)) as file:
                yield file, None
            return
        if self.remote:
            with contextlib.closing(open_snapshot(self.path)) as file:
                yield file, None
            return
        state, pieces, follower = waiting_in(self._ring)
        with contextlib.closing(present(self.path, state, pieces)) as file:
            yield file, follower

    def _missed(self, file: Any, *, skip: bool) -> Iterator[Update]:
        stamp = stamp_of(self.path)
        index = EpisodeIndex(file)
        episodes = []
        for episode_id in index.ids.keys() - self._ended:
            episode = index.open(episode_id, original=False)
            if episode is not None:
                facts = episode.attributes()
                running = facts.get("status") == RUNNING
                episodes.append((str(facts.get("start_time")), episode_id, running, episode))
        for _, episode_id, running, episode in sorted(episodes, key=lambda one: one[:2]):
            if episode_id != self._episode:
                self._turn_to(episode_id)
            new = stored(episode, episode_id, self._taken, MOST, begins=not self._begun, ended=not running)
            for update in new:
                if stamp_of(self.path) != stamp:
                    raise ReadError("its structure changed")
                self._counted(update)
                if not skip:
                    yield update
            if not running:
                self._ended.add(episode_id)
                self._turn_to(None)

    def _turn_to(self, episode_id: int | None) -> None:
        self._episode, self._taken, self._begun = episode_id, {}, False

    def _counted(self, update: Update) -> Update:
        self._begun = True
        for name, count in update.counts().items():
            self._taken[name] = self._taken.get(name, 0) + count
        return update


def _ring_of(path: Path) -> Ring | None:
    """The ring, which a writer makes shortly after it has locked its recording; None where nobody writes."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return Ring.open(ring_of(path))
        except FileNotFoundError:
            if not is_held(path) or time.monotonic() > deadline:
                return None
        time.sleep(_PAUSE)
