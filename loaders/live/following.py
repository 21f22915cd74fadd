"""From one look at a recording to the next: what is new, from its ring or, where that went on, its file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loaders.live.update import Update, logged, stored, totals
from recorder.errors import ReadError
from recorder.format.layout import RECOVERED, RUNNING
from recorder.h5.living import (
    ROWS,
    START,
    EpisodeIndex,
    Follower,
    Overtaken,
    Piece,
    Ring,
    Standing,
    is_local,
    is_written,
    open_for_reading,
    open_snapshot,
    present,
    quiet_stamp,
    ring_of,
    stamp_of,
    standing,
    waiting_in,
)

_PATIENCE, _PAUSE = 60.0, 0.002
"""Seconds: on a busy machine short episodes may end faster than a reader gets its turn, for a while."""


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
    ReadError
        Its ring is none, or the file changes faster than it can be read.
    """

    def __init__(self, path: Path, *, history: bool) -> None:
        self.path, self.over = path, False
        self._episode: int | None = None
        """The one that runs, as far as was taken."""
        self._precision: Mapping[str, float] = {}
        self._taken: dict[int, dict[str, int]] = {}
        """Rows by stream of every episode that has not ended."""
        self._begun: set[int] = set()
        """Of these, those whose beginning was told, or lies before."""
        self._ended: set[int] = set()
        self._progress = 0
        self._follower: Follower | None = None
        self._ring = _ring_of(path)
        self.remote = self._ring is not None and not is_local(self._ring)
        if not history:
            try:
                self._retried(self._skip)
            except BaseException:
                self.close()
                raise

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
        pieces, alive = self._copied(), True
        if not pieces:
            # Only now, because it takes longer than a look; and before another one, because what a dead
            # writer logged is all there by then.
            alive = is_written(self.path)
            pieces = self._copied()
        yield from self._told(pieces)
        if self._follower is None:
            yield from self._caught_up()
        self.over = not alive

    def _copied(self) -> list[Piece]:
        if self._follower is not None:
            try:
                return self._follower.take()
            except Overtaken:
                self._follower = None
        return []

    def _told(self, pieces: Sequence[Piece]) -> Iterator[Update]:
        """Rows of the ring, by episode."""
        rows: list[Piece] = []
        begins = False
        for piece in pieces:
            if piece.kind == ROWS:
                rows.append(piece)
                continue
            if self._episode is not None:
                yield self._counted(self._logged(rows, begins=begins, ends=True))
                self._end(self._episode)
            rows, begins = [], piece.kind == START
            if begins:
                self._stand(Standing.of(piece.meta["start"]))
        if self._episode is not None and (rows or begins):
            yield self._counted(self._logged(rows, begins=begins, ends=False))

    def _logged(self, rows: Sequence[Piece], *, begins: bool, ends: bool) -> Update:
        assert self._episode is not None
        return logged(self._episode, rows, self._precision, begins=begins, ends=ends)

    def _caught_up(self) -> Iterator[Update]:
        """What the follower has missed, from the file; another follower goes on behind it."""
        progress, deadline = self._progress, time.monotonic() + _PATIENCE
        while True:
            try:
                stamp = quiet_stamp(self.path)
                with self._present() as (file, follower, now):
                    for update in self._missed(file):
                        # What was read belongs to one state of the file, and to the ring's of that time.
                        if follower is not None and stamp_of(self.path) != stamp:
                            raise ReadError("its structure changed")
                        yield self._counted(update)
                        if update.ends:
                            self._end(update.episode_id)
                    if follower is not None and stamp_of(self.path) != stamp:
                        raise ReadError("its structure changed")
                self._stand(now)
                self._follower = follower
                return
            except (ReadError, OSError) as error:
                if self._progress != progress:
                    progress, deadline = self._progress, time.monotonic() + _PATIENCE
                if time.monotonic() > deadline:
                    raise ReadError(f"{self.path} changes faster than it can be read: {error}") from error
                time.sleep(_PAUSE)

    @contextlib.contextmanager
    def _present(self) -> Iterator[tuple[Any, Follower | None, Standing]]:
        """The recording as it is now, who goes on behind that, and what runs."""
        if self._ring is None or self.remote or not is_written(self.path):
            # Nothing of another machine is repaired from here: whether its program lives cannot be told.
            opened = open_snapshot if self.remote else open_for_reading
            with contextlib.closing(opened(self.path)) as file:
                yield file, None, Standing()
            return
        state, pieces, follower = waiting_in(self._ring)
        with contextlib.closing(present(self.path, state, pieces)) as file:
            yield file, follower, standing(state, pieces)

    def _missed(self, file: Any) -> Iterator[Update]:
        index = EpisodeIndex(file)
        episodes = []
        for episode_id in index.ids.keys() - self._ended:
            episode = index.open(episode_id, original=False)
            if episode is not None:
                facts = episode.attributes()
                status = facts.get("status")
                known = episode_id in self._begun
                order = (status == RUNNING, not known, str(facts.get("start_time")), episode_id)
                episodes.append((order, status, episode))
        # What began here and has ended, then what ended since, and what runs last: clocks may be set back.
        for (_, unknown, _, episode_id), status, episode in sorted(episodes, key=lambda one: one[0]):
            taken = self._taken.setdefault(episode_id, {})
            ended = status not in (RUNNING, RECOVERED)
            yield from stored(episode, episode_id, taken, begins=unknown, ended=ended)

    def _skip(self) -> None:
        """Go on with what is logged from now on."""
        with contextlib.closing(open_snapshot(self.path)) as file:
            index = EpisodeIndex(file)
            before = set(index.ids)
            if self._ring is None or self.remote:
                self._skip_in(index)
                return
        state, pieces, self._follower = waiting_in(self._ring)
        now = standing(state, pieces)
        self._ended = (before | now.ended) - {now.episode_id}
        self._stand(now)
        if now.episode_id is not None:
            self._taken[now.episode_id] = now.rows
            self._begun.add(now.episode_id)

    def _skip_in(self, index: EpisodeIndex) -> None:
        for episode_id in index.ids:
            episode = index.open(episode_id, original=False)
            if episode is not None and episode.running:
                self._taken[episode_id] = totals(episode)
                self._begun.add(episode_id)
            else:
                self._ended.add(episode_id)

    def _retried(self, read: Callable[[], None]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                read()
                return
            except (ReadError, OSError, RuntimeError) as error:
                if time.monotonic() > deadline:
                    raise ReadError(f"{self.path} changes faster than it can be read: {error}") from error
                time.sleep(_PAUSE)

    def _stand(self, now: Standing) -> None:
        self._episode, self._precision = now.episode_id, now.precision

    def _end(self, episode_id: int) -> None:
        self._ended.add(episode_id)
        self._taken.pop(episode_id, None)
        self._begun.discard(episode_id)
        if self._episode == episode_id:
            self._episode = None

    def _counted(self, update: Update) -> Update:
        self._progress += 1
        self._begun.add(update.episode_id)
        taken = self._taken.setdefault(update.episode_id, {})
        for name, count in update.counts().items():
            taken[name] = taken.get(name, 0) + count
        return update


def _ring_of(path: Path) -> Ring | None:
    """The ring, which a writer makes shortly after it has locked its recording; None where nobody writes."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return Ring.open(ring_of(path))
        except FileNotFoundError:
            if not is_written(path) or time.monotonic() > deadline:
                return None
        time.sleep(_PAUSE)
