"""What a recording is, at a glance and without repairing it: for lists of many recordings."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path

import h5py

from recorder.errors import ReadError
from recorder.format.layout import (
    COMMITTED,
    COUNTER,
    EPISODES,
    FORMAT,
    JOURNAL_SUFFIX,
    LOCK_SUFFIX,
    RING_SUFFIX,
    RUNNING,
    TIMESTEPS,
)

KILLED = "killed"
"""The status of a recording whose program is gone but which nobody has repaired yet."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One line of a list of recordings.

    Attributes
    ----------
    status : str
        The root attribute ``status``, or ``"killed"``; empty for files of other systems.
    steps : int
        Timesteps over all episodes; of a running one those that are committed.
    """

    name: str
    status: str
    episodes: int
    steps: int


def summarize(path: Path) -> Summary:
    """Read a recording's summary from attributes alone.

    Raises
    ------
    ReadError
        HDF5 cannot open the file.
    """
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise ReadError(f"HDF5 cannot open {path}: {' '.join(str(error).split())}") from error
    with file:
        name = str(file.attrs.get("experiment_name", path.parent.name))
        status = str(file.attrs.get("status", ""))
        episodes = file.get(EPISODES, {})
        steps = sum(_steps(group) for group in episodes.values())
        count, ours = len(episodes), file.attrs.get("format") == FORMAT
    left = any(path.with_name(path.name + suffix).exists() for suffix in (RING_SUFFIX, JOURNAL_SUFFIX))
    if ours and (status == RUNNING or left) and not being_written(path):
        status = KILLED
    return Summary(name, status, count, steps)


def being_written(path: Path) -> bool:
    """Whether a living process holds the lock of this recording."""
    try:
        with path.with_name(path.name + LOCK_SUFFIX).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _steps(group: h5py.Group) -> int:
    total = group.attrs.get("total_timesteps")
    if total is not None:
        return int(total)
    if COMMITTED not in group:
        return 0
    counters = group[COMMITTED][:]
    clocks = (part.get(TIMESTEPS) for part in group.values() if isinstance(part, h5py.Group))
    return max((int(counters[clock.attrs[COUNTER]]) for clock in clocks if clock is not None), default=0)
