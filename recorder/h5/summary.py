"""What a recording is, at a glance and without repairing it: for lists of many recordings."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import h5py

from recorder.errors import DamagedError, ReadError
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

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds for which a reader tries again while a writer is at work."""
MISREADINGS = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What h5py raises from a file that is damaged, or that changes under the reader."""
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
        name, status, episodes, steps, ours = patiently(path, _facts)
    except MISREADINGS as error:
        raise ReadError(f"HDF5 cannot read {path}: {' '.join(str(error).split())}") from error
    left = any(path.with_name(path.name + suffix).exists() for suffix in (RING_SUFFIX, JOURNAL_SUFFIX))
    if ours and (status == RUNNING or left) and not being_written(path):
        status = KILLED
    return Summary(name or path.parent.name, status, episodes, steps)


def check_opens(path: Path) -> None:
    """Make sure that HDF5 opens a file beside which nothing is left to repair it from.

    Raises
    ------
    DamagedError
        It does not.
    """
    try:
        patiently(path, lambda _: None)
    except MISREADINGS as error:
        raise DamagedError(
            f"damaged, and nothing lies beside it to repair it from: {' '.join(str(error).split())}"
        ) from error


def patiently(path: Path, read: Callable[[h5py.File], T]) -> T:
    """What ``read`` makes of the open file, tried again while a writer changes it under the reader.

    Raises
    ------
    Exception
        One of ``MISREADINGS``: nobody writes the file, or it stayed unreadable for ``PATIENCE`` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with h5py.File(path, "r", locking=False) as file:
                return read(file)
        except MISREADINGS:
            if time.monotonic() > deadline or not being_written(path):
                raise
        time.sleep(0.01)


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


def _facts(file: h5py.File) -> tuple[str, str, int, int, bool]:
    episodes = file.get(EPISODES, {})
    steps = sum(_steps(group) for group in episodes.values())
    facts = file.attrs
    return (
        str(facts.get("experiment_name", "")),
        str(facts.get("status", "")),
        len(episodes),
        steps,
        facts.get("format") == FORMAT,
    )


def _steps(group: h5py.Group) -> int:
    total = group.attrs.get("total_timesteps")
    if total is not None:
        return int(total)
    if COMMITTED not in group:
        return 0
    counters = group[COMMITTED][:]
    clocks = (part.get(TIMESTEPS) for part in group.values() if isinstance(part, h5py.Group))
    return max((int(counters[clock.attrs[COUNTER]]) for clock in clocks if clock is not None), default=0)
