"""A killed recording made whole: journal, superblock, and what the ring kept.

All of it is one transaction, so repair may be killed at any instant and run again; it takes time in
proportion to what the ring holds. Where the folder cannot be written, the same change is made in memory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py

from recorder.errors import DamagedError, RepairError
from recorder.format.layout import (
    EPISODES,
    FORMAT,
    JOURNAL_SUFFIX,
    KEPT_SUFFIX,
    LOCK_SUFFIX,
    RECOVERED,
    RECOVERED_STEPS,
    RING_SUFFIX,
    RUNNING,
    UNVERIFIED,
    companion,
)
from recorder.h5 import journal, superblock
from recorder.h5.chunking import Chunking
from recorder.h5.leftover import closed_at_exit
from recorder.h5.lock import RecordingLock
from recorder.h5.overlay import OverlayFile
from recorder.h5.recovery import Progress, waiting
from recorder.h5.skeleton import finish
from recorder.h5.store.which import is_store_file
from recorder.h5.template import Template
from recorder.h5.transaction import LIBVER, commit


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
    beside = (RING_SUFFIX, JOURNAL_SUFFIX, KEPT_SUFFIX, LOCK_SUFFIX)
    return any(companion(path, suffix).exists() for suffix in beside)


def needs_recovery(path: Path) -> bool:
    """Whether logged steps, or a change, wait beside the file."""
    return any(companion(path, suffix).exists() for suffix in (RING_SUFFIX, JOURNAL_SUFFIX))


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
        The file cannot be made whole, or is a store's; nothing was changed.
    OSError
        The folder cannot be written.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no recording at {path}")
    if is_store_file(path):
        # Its lock and journal are others than a recording's.
        raise RepairError(f"{path} is a store of network states, no recording: HDF5Storage makes it whole")
    with RecordingLock(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            overlay, report = _mended(path, lambda: OverlayFile(descriptor, untrusted=True), progress)
            if overlay.extents() or overlay.size != overlay.old_size:
                commit(overlay, companion(path, JOURNAL_SUFFIX), sync=True, trim=True)
        finally:
            os.close(descriptor)
        _clear(path, keep_ring=report.status == "damaged")
    return report


def open_unwritten(path: Path) -> h5py.File:
    """A killed recording as repair would leave it, without a byte being written anywhere."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def overlaid() -> OverlayFile:
        # Each with a descriptor of its own: the first may be given up, and closes it.
        return OverlayFile(os.dup(descriptor), memory=True, close=True, untrusted=True)

    try:
        overlay, _ = _mended(path, overlaid, None)
    finally:
        os.close(descriptor)
    return closed_at_exit(h5py.File(overlay, "r", libver=LIBVER))


def _mended(
    path: Path, new_overlay: Callable[[], OverlayFile], progress: Progress | None
) -> tuple[OverlayFile, RepairReport]:
    """What the recording should be; without its ring where the two do not go together."""
    overlay = new_overlay()
    size = overlay.old_size
    try:
        return overlay, _mend(path, overlay, progress)
    except RepairError as error:
        if not companion(path, RING_SUFFIX).exists():
            raise
        overlay.truncate(size)
        overlay = new_overlay()
        report = _mend(path, overlay, progress, ring=False)
        text = f"the ring does not fit the file ({error.__cause__ or error}) and was kept"
        return overlay, dataclasses.replace(report, status="damaged", message=text)


def _mend(path: Path, overlay: OverlayFile, progress: Progress | None, *, ring: bool = True) -> RepairReport:
    replayed, note = journal.replay(overlay, companion(path, JOURNAL_SUFFIX))
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
            return _bring_back(path, file, note, progress, ring=ring)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise RepairError(f"{path} cannot be made whole: {error}") from error


def _bring_back(
    path: Path, file: h5py.File, note: journal.Note | None, progress: Progress | None, *, ring: bool
) -> RepairReport:
    now = time.strftime("%Y-%m-%dT%H:%M:%S")
    steps = companion(path, RING_SUFFIX) if ring else None
    with waiting(steps, note, Chunking.of_recording(file.attrs), progress) as found:
        episode, ended = found.episode, found.ended
        if episode is not None:
            own = found.dropped - episode.start.get("dropped_before", 0)
            end = {"end_time": now, "status": RECOVERED, "success": False, "dropped_timesteps": own}
            episode.close({**end, "dropped": found.drops_of(episode.episode_id)})
            ended.append(episode)
        with contextlib.closing(Template()) as template:
            for done in ended:
                done.recovering = True
                done.restructure(file, template)
    # One that was resumed may have been repaired before.
    before = {name: int(file.attrs.get(name, 0)) for name in (RECOVERED_STEPS, UNVERIFIED)}
    finish(
        file,
        status=RECOVERED,
        end_time=now,
        episode_count=len(file[EPISODES]),
        dropped=found.dropped,
        recovered=found.steps + before[RECOVERED_STEPS],
        unverified=found.unverified + before[UNVERIFIED],
    )
    text = f"{found.damage}{found.steps:,} steps brought back from the ring"
    if episode is not None:
        text += f"; episode {episode.episode_id} was running and is marked recovered"
    if found.unverified:
        text += (
            f"; the machine was restarted since they were logged, or is another one: should the power have "
            f"failed, {found.unverified:,} of them may not be what was logged"
        )
    status = "damaged" if found.damage else "recovered"
    return RepairReport(path, status, found.steps, int(episode is not None), text)


def _clear(path: Path, *, keep_ring: bool) -> None:
    ring = companion(path, RING_SUFFIX)
    if keep_ring and ring.exists():
        ring.rename(ring.with_name(ring.name + ".damaged"))
    else:
        ring.unlink(missing_ok=True)
    ring.with_name(ring.name + ".new").unlink(missing_ok=True)
    journal.discard(companion(path, JOURNAL_SUFFIX), sync=True)
