"""A living recording with everything that was logged up to now, made in memory from its file and its ring.

It is the change that a repair would make, but nothing has ended: episodes that run keep that status. The
file may be ahead of what the ring says is in it, as after a kill between the two; rows are then laid over
themselves. A change of the file's structure meanwhile is the reader's business to notice: see ``stamp.py``.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py

from recorder.errors import DamagedError, ReadError
from recorder.format.layout import PRECISION, RING_SUFFIX, RUNNING, companion
from recorder.h5.chunking import Chunking
from recorder.h5.episode import EpisodeWriter
from recorder.h5.file import open_snapshot
from recorder.h5.following import Follower, Overtaken
from recorder.h5.leftover import closed_at_exit
from recorder.h5.lock import is_local
from recorder.h5.overlay import OverlayFile
from recorder.h5.pieces import Piece
from recorder.h5.recovery import GARBAGE
from recorder.h5.sink import feed
from recorder.h5.template import Template
from recorder.h5.transaction import LIBVER
from recorder.ring.arena import Ring

_ATTEMPTS = 50
_PATIENCE = 2.0


def ring_of(path: Path) -> Path:
    """Where the ring of a recording's file is, while there is one."""
    return companion(path, RING_SUFFIX)


@contextlib.contextmanager
def opened_ring(path: Path) -> Iterator[Ring]:
    """The ring beside a recording's file, for reading."""
    ring = Ring.open(ring_of(path))
    try:
        yield ring
    finally:
        ring.close(unlink=False)


@dataclass(frozen=True)
class Standing:
    """Where an episode stands that runs.

    Attributes
    ----------
    episode_id : int or None
        None where none runs.
    precision : mapping of str to float
        How far what is stored of a stream may be from what was logged.
    rows : dict of str to int
        Rows so far, by stream.
    ended : set of int
        Episodes whose end waits as well.
    """

    episode_id: int | None = None
    precision: Mapping[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, start: Mapping[str, Any]) -> Standing:
        """Of an episode that begins, by what ``start_episode`` said."""
        return cls(int(start["episode_id"]), start.get(PRECISION, {}))


def standing(state: bytes, pieces: Iterable[Piece]) -> Standing:
    """What runs after this state and these rows."""
    chunking = Chunking.of(None, None, 1 << 30)
    ended, episode = feed(pieces, EpisodeWriter.restore(state, chunking) if state else None, chunking)
    found = {one.episode_id for one in ended}
    if episode is None:
        return Standing(ended=found)
    rows = {name: count for part in episode.parts.values() for name, count in part.rows().items() if count}
    return replace(Standing.of(episode.start), rows=rows, ended=found)


def base_of(ring: Ring) -> tuple[int, bytes]:
    """The first record that the file has not got, and the writer's state before it.

    Raises
    ------
    DamagedError
        The ring is damaged, or the writer stores states faster than they can be read.
    """
    for _ in range(_ATTEMPTS):
        first = ring.finished
        try:
            state = ring.state() or b""
        except DamagedError:
            if ring.finished == first:
                raise
            continue
        if ring.finished == first:
            return first, state
    raise DamagedError(f"{ring.path} changes faster than it can be read")


def waiting_in(ring: Ring) -> tuple[bytes, list[Piece], Follower]:
    """What waits in the ring: the state, the rows after it, and a follower that goes on behind them."""
    state, first, follower = b"", 0, Follower(ring, 0)
    for _ in range(_ATTEMPTS):
        first, state = base_of(ring)
        follower = Follower(ring, first)
        with contextlib.suppress(Overtaken):
            pieces = follower.take()
            # Although the copy is whole: the less the file is ahead of it, the less of the file has changed.
            if ring.finished == first:
                return state, pieces, follower
        time.sleep(0)
    # Blocks go through faster than they are copied: what the file has is as fresh as that.
    return state, [], Follower(ring, first)


def waiting_steps(state: bytes) -> int:
    """Steps of which something stands in this state instead of the file."""
    return EpisodeWriter.restore(state, Chunking.of(None, None, 1)).waiting_steps if state else 0


def open_present(path: Path) -> h5py.File:
    """A living recording as it is now, read-only; no byte is written anywhere.

    Raises
    ------
    ReadError
        Its file changed meanwhile, or does not go with its ring: try again.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with opened_ring(path) as ring:
                if not is_local(ring):
                    return open_snapshot(path)
                state, pieces, _ = waiting_in(ring)
            return present(path, state, pieces)
        except FileNotFoundError as error:
            raise ReadError(f"{path} was closed while it was read") from error
        except ReadError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.001)


def present(path: Path, state: bytes, pieces: Iterable[Piece]) -> h5py.File:
    """As :func:`open_present`, with this state and these rows of the ring.

    Raises
    ------
    ReadError
        The file's structure changed meanwhile: take both anew, and try again.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    overlay = OverlayFile(descriptor, memory=True, close=True, untrusted=True)
    try:
        with h5py.File(overlay, "r+", libver=LIBVER) as file, contextlib.closing(Template()) as template:
            chunking = Chunking.of_recording(file.attrs)
            before = EpisodeWriter.restore(state, chunking) if state else None
            ended, episode = feed(pieces, before, chunking)
            if episode is not None:
                episode.close({"end_time": "", "status": RUNNING})
                ended.append(episode)
            for one in ended:
                one.restructure(file, template)
        return closed_at_exit(h5py.File(overlay, "r", libver=LIBVER))
    except (OSError, RuntimeError, AssertionError, *GARBAGE) as error:
        overlay.close()
        raise ReadError(f"{path} changed while it was read: {error}") from error
    except BaseException:
        overlay.close()
        raise
