"""In which state a store's file is, told without opening it."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from recorder.format.layout import LOCK_SUFFIX, companion
from recorder.h5.store.recover import journal_of
from recorder.h5.store.turns import Count, look

_PAUSE = 0.0003
_PATIENCE = 0.05


@dataclass(frozen=True, slots=True)
class State:
    """Two equal ones: nobody has changed the file in between.

    Attributes
    ----------
    file : tuple of int
        Device, inode, size and time of modification in ns. Every change of ours sets a time with all its
        digits, which no other program's change has.
    count : Count or None
        What the lock file says.
    left : bool
        A change was begun by a process that is dead; it has to be completed.
    """

    file: tuple[int, int, int, int]
    count: Count | None
    left: bool = field(default=False, compare=False)

    @property
    def quiet(self) -> bool:
        """Whether no living process is applying a change."""
        return self.left or self.count is None or not self.count.applying

    def same_objects(self, later: State) -> bool:
        """Whether every object of this state is in a later one: only new ones came."""
        mine, theirs = self.count, later.count
        return (
            self.file[:2] == later.file[:2]
            and mine is not None
            and theirs is not None
            and (mine.inode, mine.removals) == (theirs.inode, theirs.removals)
        )


def state_of(path: Path) -> State:
    """The state now; while a change is being applied, that of some moment of it."""
    found = os.stat(path)  # noqa: PTH116 - asked for at every read, and Path takes as long again
    return State((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns), look(path))


def quiet_state(path: Path) -> State:
    """The state between two changes; one of a dead process is told.

    Raises
    ------
    FileNotFoundError
        There is no file.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        state = state_of(path)
        waits = state.count is not None and state.count.applying
        if not waits and not os.path.exists(journal_of(path)):  # noqa: PTH110 - as above
            return state
        if not held(path):
            # It may have been completed between the two looks.
            after = state_of(path)
            if after == state and (waits or journal_of(path).exists()):
                return State(state.file, state.count, left=True)
        elif time.monotonic() > deadline + _PATIENCE:
            return state
        time.sleep(_PAUSE)


def held(path: Path) -> bool:
    """Whether a living process has its turn."""
    try:
        descriptor = os.open(companion(path, LOCK_SUFFIX), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def set_own_time(descriptor: int) -> None:
    """Give the file a time of modification with all its digits; the kernel's own go in steps of some ms."""
    now = time.time_ns()
    os.utime(descriptor, ns=(now, now))
