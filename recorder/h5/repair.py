"""A killed recording made whole: journal, superblock, and what the ring kept.

All of it is one transaction, so repair may be killed at any instant and run again; it takes time in
proportion to what the ring holds. Where the folder cannot be written, the same change is made in memory.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from recorder.errors import DamagedError, RepairError
from recorder.format.layout import (
    EPISODES,
    FORMAT,
    JOURNAL_SUFFIX,
    LOCK_SUFFIX,
    RECOVERED,
    RING_SUFFIX,
    RUNNING,
)
from recorder.h5 import superblock
from recorder.h5.chunking import Chunking
from recorder.h5.episode import EpisodeWriter
from recorder.h5.lock import RecordingLock
from recorder.h5.overlay import OverlayFile
from recorder.h5.sink import feed
from recorder.h5.skeleton import finish
from recorder.h5.transaction import LIBVER, commit, replay
from recorder.ring.arena import Ring
from recorder.ring.record import ROWS, Record

Progress = Callable[[int, int], None]
"""Told of (records done, records in all)."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair found and did.

    ``status`` is ``"clean"`` (nothing to do), ``"recovered"`` (steps or ends were brought back) or
    ``"damaged"`` (a part of the ring was unreadable; everything before it was brought back).
    ``steps_recovered`` counts the steps that came from the ring.
    """

    path: Path
    status: str
    steps_recovered: int = 0
    episodes_recovered: int = 0
    message: str = ""


def needs_repair(path: Path) -> bool:
    """Whether a writer of this recording is at work or left without closing it."""
    return any(_beside(path, suffix).exists() for suffix in (RING_SUFFIX, JOURNAL_SUFFIX, LOCK_SUFFIX))


def repair(path: str | Path, progress: Progress | None = None) -> RepairReport:
    """Bring a killed recording back.

    Parameters
    ----------
    path : path
        The recording's HDF5 file.

    Raises
    ------
    RecordingLockedError
        Its writer lives.
    RepairError
        The file cannot be made whole; nothing was changed.
    OSError
        The folder cannot be written.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no recording at {path}")
    with RecordingLock(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            overlay = OverlayFile(descriptor)
            report = _mend(path, overlay, progress)
            if overlay.extents() or overlay.size != overlay.old_size:
                commit(overlay, _beside(path, JOURNAL_SUFFIX), sync=True)
        finally:
            os.close(descriptor)
        _clear(path, keep_ring=report.status == "damaged")
    return report


def open_unwritten(path: Path) -> h5py.File:
    """A killed recording as repair would leave it, without a byte being written anywhere."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    overlay = OverlayFile(descriptor, memory=True, close=True)
    _mend(path, overlay, None)
    return h5py.File(overlay, "r", libver=LIBVER)


def _mend(path: Path, overlay: OverlayFile, progress: Progress | None) -> RepairReport:
    replayed = replay(overlay, _beside(path, JOURNAL_SUFFIX))
    overlay.seek(0)
    block = overlay.read(superblock.SIZE)
    try:
        mended = superblock.mended(block, overlay.size)
    except DamagedError as error:
        raise RepairError(f"{path}: {error}") from error
    if mended != block:
        overlay.seek(0)
        overlay.write(mended)
    try:
        with h5py.File(overlay, "r+", libver=LIBVER) as file:
            if file.attrs.get("format") != FORMAT or file.attrs.get("status") != RUNNING:
                word = "recovered" if replayed else "clean"
                return RepairReport(
                    path, word, message="the recording was closed; only leftovers were removed"
                )
            return _replay_ring(path, file, progress)
    except (OSError, RuntimeError, KeyError) as error:
        raise RepairError(f"{path} cannot be made whole: {error}") from error


def _replay_ring(path: Path, file: h5py.File, progress: Progress | None) -> RepairReport:
    now = time.strftime("%Y-%m-%dT%H:%M:%S")
    chunking = _chunking(file)
    ended: list[EpisodeWriter] = []
    steps, recovered, damage, dropped = 0, 0, "", 0
    with contextlib.suppress(FileNotFoundError), _ring(path) as ring:
        state = ring.state()
        episode = EpisodeWriter.restore(state, chunking) if state else None
        steps = episode.waiting_steps if episode else 0
        dropped = ring.dropped
        records, damage = _records(ring, progress)
        steps += sum(record.tables["main"].count for record in records if record.kind == ROWS)
        ended, episode = feed(records, episode, chunking)
        if episode is not None:
            own = dropped - episode.start.get("dropped_before", 0)
            end = {"end_time": now, "status": RECOVERED, "success": False, "dropped_timesteps": own}
            episode.close(end)
            ended.append(episode)
            recovered = 1
        for done in ended:
            done.restructure(file)
    finish(file, status=RECOVERED, end_time=now, episode_count=len(file[EPISODES]))
    found = f"{steps:,} steps brought back from the ring"
    if recovered:
        found += f"; episode {ended[-1].episode_id} was running and is marked recovered"
    return RepairReport(path, "damaged" if damage else "recovered", steps, recovered, f"{damage}{found}")


def _records(ring: Ring, progress: Progress | None) -> tuple[list[Record], str]:
    first, last = ring.finished, ring.published
    records: list[Record] = []
    for seq in range(first, last):
        try:
            records.append(ring.record(seq))
        except (DamagedError, ValueError) as error:
            return records, f"the ring is damaged ({error}) and was kept; up to there: "
        if progress is not None:
            progress(seq - first + 1, last - first)
    return records, ""


@contextlib.contextmanager
def _ring(path: Path) -> Iterator[Ring]:
    ring = Ring.open(_beside(path, RING_SUFFIX))
    try:
        yield ring
    finally:
        ring.close(unlink=False)


def _chunking(file: h5py.File) -> Chunking:
    attributes: dict[str, Any] = dict(file.attrs)
    name = attributes.get("compression", "none")
    level = attributes.get("compression_level")
    return Chunking.of(
        None if name == "none" else str(name),
        None if level is None else int(level),
        int(attributes.get("chunk_size", 10_000)),
    )


def _clear(path: Path, *, keep_ring: bool) -> None:
    ring = _beside(path, RING_SUFFIX)
    if keep_ring:
        ring.rename(ring.with_name(ring.name + ".damaged"))
    else:
        ring.unlink(missing_ok=True)
    _beside(path, JOURNAL_SUFFIX).unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
