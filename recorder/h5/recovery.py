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
from recorder.h5.pieces import tail
from recorder.h5.sink import feed
from recorder.ring.arena import Ring
from recorder.ring.record import HELD, LATER_ROWS, ROWS, Logged, Record

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
    held: list[Record] = []
    before = None
    try:
        for seq in range(first, last):
            before = found.episode and found.episode.state()
            record = ring.record(seq)
            # What was held when the process died is the newest there is: nothing but more of it comes behind.
            held = [*held, record] if record.kind == HELD else []
            if not held:
                _take(found, ring, record, chunking)
            if progress is not None:
                progress(seq - first + 1, last - first)
        skip = sum(_steps(record) for record in held) - (held[-1].wanted if held else 0)
        for record in held:
            before = found.episode and found.episode.state()
            _take(found, ring, tail(record, max(0, skip)), chunking)
            skip -= _steps(record)
    except (DamagedError, *GARBAGE) as error:
        found.episode = EpisodeWriter.restore(before, chunking) if before else None
        found.damage = f"the ring is damaged ({error}) and was kept; up to there: "


def _take(found: Waiting, ring: Ring, record: Logged, chunking: Chunking) -> None:
    steps = _steps(record) if record.kind in (ROWS, LATER_ROWS) else 0
    if record.kind == LATER_ROWS:
        assert isinstance(record, Record)
        steps -= min(steps, record.skip)
    ended, found.episode = feed([record], found.episode, chunking)
    found.ended += ended
    found.steps += steps
    found.unverified += steps if ring.restarted else 0


def _steps(record: Logged) -> int:
    return record.tables["main"].count
