"""What a killed recording had logged and not stored: the writer's state, and the records after it."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recorder.errors import DamagedError
from recorder.h5.chunking import Chunking
from recorder.h5.episode import EpisodeWriter
from recorder.h5.journal import Note
from recorder.h5.sink import feed
from recorder.ring.arena import Ring
from recorder.ring.record import ROWS

Progress = Callable[[int, int], None]
"""Told of (records done, records in all)."""

GARBAGE = (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error)
"""What decoding raises when memory holds something else than it was given."""


@dataclass
class Waiting:
    """Episodes with what belongs into them, and what is known of it."""

    episode: EpisodeWriter | None = None
    """The one that was running."""
    ended: list[EpisodeWriter] = field(default_factory=list)
    steps: int = 0
    unverified: int = 0
    """Steps from a map that a restart of the machine may have torn."""
    dropped: int = 0
    damage: str = ""
    drops_of: Callable[[int], dict[str, int]] = field(default=lambda _: {})


@contextlib.contextmanager
def waiting(
    path: Path | None, note: Note | None, chunking: Chunking, progress: Progress | None
) -> Iterator[Waiting]:
    """What waits in the ring at ``path``, if there is one to look at, for as long as the block lasts.

    The state is the newer one of the ring's and the journal's ``note``. A ring that is missing adds
    nothing; one that is damaged, only what comes before the damage.
    """
    found = Waiting()
    try:
        if path is None:
            raise FileNotFoundError
        ring = Ring.open(path)
    except (FileNotFoundError, DamagedError) as error:
        if note is not None:
            _resume(found, note, chunking)
        if not isinstance(error, FileNotFoundError):
            found.damage = f"the ring is damaged ({error}) and was kept; from what is committed: "
        yield found
        return
    try:
        found.dropped, found.drops_of = ring.dropped, ring.drops.of
        try:
            own = Note(ring.finished, ring.state() or b"")
        except DamagedError as error:
            own = Note(-1, b"")
            found.damage = f"the ring is damaged ({error}) and was kept; from what is committed: "
        newest = own if note is None or note.upto <= own.upto else note
        if newest.upto >= 0:
            _resume(found, newest, chunking)
            _replay(found, ring, newest.upto, chunking, progress)
        yield found
    finally:
        ring.close(unlink=False)


def _resume(found: Waiting, note: Note, chunking: Chunking) -> None:
    if note.state:
        found.episode = EpisodeWriter.restore(note.state, chunking)
        found.steps = found.episode.waiting_steps


def _replay(found: Waiting, ring: Ring, first: int, chunking: Chunking, progress: Progress | None) -> None:
    last = ring.published
    for seq in range(first, last):
        before = found.episode and found.episode.state()
        try:
            record = ring.record(seq)
            steps = record.tables["main"].count if record.kind == ROWS else 0
            ended, found.episode = feed([record], found.episode, chunking)
        except (DamagedError, *GARBAGE) as error:
            found.episode = EpisodeWriter.restore(before, chunking) if before else None
            found.damage = f"the ring is damaged ({error}) and was kept; up to there: "
            return
        found.ended += ended
        found.steps += steps
        found.unverified += steps if ring.restarted else 0
        if progress is not None:
            progress(seq - first + 1, last - first)
