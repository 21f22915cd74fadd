"""Telling that a living recording's structure changed, from the files beside it.

A handle that was opened before a structural change must not be used after it: HDF5 may have put
something else where the handle expects its data. Every such change begins with the creation of the
journal and ends with its removal, and both set the folder's time of modification. That time has the
granularity of a clock tick, so it tells changes apart only once it is older than a tick.
"""

from __future__ import annotations

import time
from pathlib import Path

from recorder.format.layout import JOURNAL_SUFFIX, LOCK_SUFFIX, companion
from recorder.h5.lock import is_held

Stamp = tuple[int, bytes | None, bool]

_TICK_NS = 20_000_000
_PATIENCE = 1.0


def stamp_of(path: Path) -> Stamp:
    """The folder's time, what the lock file says, and whether a change is under way."""
    holder = companion(path, LOCK_SUFFIX)
    try:
        lock: bytes | None = holder.read_bytes()
    except OSError:
        lock = None
    journal = companion(path, JOURNAL_SUFFIX).exists()
    return holder.parent.stat().st_mtime_ns, lock, journal


def quiet_stamp(path: Path) -> Stamp:
    """The stamp once no change is under way and the last one is older than a tick.

    At once where nobody is at work: a killed writer may have left its change to a repair. Where the
    structure changes all the time: the stamp of the latest moment between two changes.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        stamp = stamp_of(path)
        if stamp[1] is None or (stamp[2] and not is_held(path)):
            return stamp
        age = time.time_ns() - stamp[0]
        if not stamp[2] and (not 0 <= age < _TICK_NS or time.monotonic() > deadline):
            return stamp
        if time.monotonic() > deadline + _PATIENCE:
            return stamp
        time.sleep(0.001)
