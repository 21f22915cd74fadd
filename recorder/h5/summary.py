"""What a recording is, at a glance and without repairing it: for lists of many recordings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import h5py

from recorder.errors import DamagedError, ReadError
from recorder.format.layout import (
    COMMITTED,
    COUNTER,
    EPISODES,
    FORMAT,
    JOURNAL_SUFFIX,
    RING_SUFFIX,
    RUNNING,
    RUNTIME,
    TIMESTEPS,
    companion,
)
from recorder.h5.lock import is_held
from recorder.h5.reading.guard import attributes, child_dataset, child_group, names
from recorder.h5.reading.kind import refused
from recorder.h5.reading.rows import read_rows
from recorder.h5.unlocked import is_open_to_write
from recorder.h5.untrusted import open_untrusted

T = TypeVar("T")
PATIENCE = 10.0
"""Seconds for which a reader tries again while a writer is at work."""
MISREADINGS = (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What h5py raises from a file that is damaged, or that changes under the reader."""
PLAIN = "standard"
"""The exporter that has no lock of its own beside the file."""
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
    ended: dict[str, int] = {}
    try:
        # Episodes that have ended are read once: a writer of many short ones leaves no time for all of them.
        name, status, episodes, steps, writer = patiently(path, lambda file: _facts(file, ended))
    except MISREADINGS as error:
        raise ReadError(f"HDF5 cannot read {path}: {' '.join(str(error).split())}") from error
    left = any(companion(path, suffix).exists() for suffix in (RING_SUFFIX, JOURNAL_SUFFIX))
    if writer is not None and (status == RUNNING or left) and not is_held(path):
        plain = not left and writer.get("exporter") == PLAIN
        if not (plain and is_open_to_write(path, writer)):
            status = KILLED
    return Summary(name or path.parent.name, status, episodes, steps)


def check_sound(path: Path) -> None:
    """Make sure that a file beside which nothing is left to repair it from is a recording that HDF5 opens.

    Raises
    ------
    ReadError
        It is no recording, or of a format version that is not known here.
    DamagedError
        HDF5 does not open it.
    """
    try:
        none = patiently(path, lambda file: refused(file, path))
    except MISREADINGS as error:
        raise DamagedError(
            f"damaged, and nothing lies beside it to repair it from: {' '.join(str(error).split())}"
        ) from error
    if none is not None:
        raise none


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
            with open_untrusted(path) as file:
                return read(file)
        except MISREADINGS:
            if time.monotonic() > deadline or not is_held(path):
                raise
        time.sleep(0.01)


def _facts(file: h5py.File, ended: dict[str, int]) -> tuple[str, str, int, int, dict[str, Any] | None]:
    """Name, status, episodes, steps, and of ours what is said of who writes it."""
    episodes = child_group(file, EPISODES)
    found = [] if episodes is None else names(episodes)
    steps = sum(_steps(episodes, name, ended) for name in found)
    facts = attributes(file)
    return (
        str(facts.get("experiment_name", "")),
        str(facts.get("status", "")),
        len(found),
        steps,
        _writer(file, facts) if facts.get("format") == FORMAT else None,
    )


def _writer(file: h5py.File, facts: dict[str, Any]) -> dict[str, Any]:
    runtime = child_group(file, RUNTIME) if facts.get("status") == RUNNING else None
    return {**({} if runtime is None else attributes(runtime)), "exporter": facts.get("exporter")}


def _steps(episodes: Any, name: str, ended: dict[str, int]) -> int:
    if name in ended:
        return ended[name]
    group = child_group(episodes, name)
    if group is None:
        return 0
    if "total_timesteps" in group.attrs:
        ended[name] = int(group.attrs["total_timesteps"])
        return ended[name]
    counted = child_dataset(group, COMMITTED)
    if counted is None or len(counted.shape) != 1:
        return 0
    counters = read_rows(counted, 0, counted.shape[0])
    parts = (child_group(group, name) for name in names(group))
    clocks = (child_dataset(part, TIMESTEPS) for part in parts if part is not None)
    return max((int(counters[clock.attrs[COUNTER]]) for clock in clocks if clock is not None), default=0)
