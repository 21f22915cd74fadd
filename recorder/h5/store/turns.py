"""Processes that take turns at one file, and how readers notice that it changes.

The lock file is that of recordings: an flock which the kernel releases with its process. It begins with a
counter: odd while a change is being applied, even between two changes. A second one counts changes that
took something away. A reader compares them before and after, and asks nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

from recorder.errors import StorageLockedError
from recorder.format.layout import LOCK_SUFFIX, companion

_FIELD = 16
_SIZE = 256
_LEAST, _MOST = 0.0002, 0.01
_all: weakref.WeakSet[Turns] = weakref.WeakSet()


@dataclass(frozen=True, slots=True)
class Count:
    """What the lock file says: changes applied, twice, and changes that took something away."""

    inode: int
    changes: int
    removals: int

    @property
    def applying(self) -> bool:
        """Whether a change is being applied, or its process was killed while it was."""
        return self.changes % 2 == 1


class Turns:
    """The right to change a store's file; for one thread at a time.

    Parameters
    ----------
    path : Path
        The store's file.
    patience : float
        Seconds to wait for others.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self.path, self._data = companion(path, LOCK_SUFFIX), path
        self.patience = patience
        self._descriptor, self._inode = -1, 0
        self._count = Count(0, 0, 0)
        _all.add(self)

    def take(self) -> Count:
        """Wait until nobody else changes the file, and return what the lock file says.

        Raises
        ------
        StorageLockedError
            Others kept it for longer than ``patience``.
        OSError
            The lock file cannot be made.
        """
        deadline, pause = time.monotonic() + self.patience, _LEAST
        while not self._try():
            if time.monotonic() > deadline:
                raise StorageLockedError(
                    f"{self._data} has been in use for {self.patience:g} s by {self._owner()}"
                )
            time.sleep(pause)
            pause = min(_MOST, pause * 1.5)
        self._count = self._read()
        self._write()
        return self._count

    def release(self) -> None:
        """Let others have their turn."""
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def begin(self) -> None:
        """A change will be applied from now on."""
        self._set(self._count.changes | 1, self._count.removals)

    def finish(self, *, removed: bool) -> Count:
        """It has been applied; returns what the lock file says from now on."""
        return self._set((self._count.changes | 1) + 1, self._count.removals + removed)

    def close(self, *, remove: bool = True) -> None:
        """Let go of the lock file, and remove it if nobody has it."""
        if self._descriptor < 0:
            return
        if remove:
            with contextlib.suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # An odd count stands for a change that waits to be completed.
                if self._is_ours() and not self._read().applying:
                    self.path.unlink()
        self.disown()

    def disown(self) -> None:
        """In a forked child: hold nothing of the parent's."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _try(self) -> bool:
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self._is_ours():
            return True
        # Who had it before has removed the file: what is locked here has no name any more.
        self.disown()
        return self._try()

    def _is_ours(self) -> bool:
        try:
            found = self.path.stat().st_ino
        except FileNotFoundError:
            return False
        self._inode = os.fstat(self._descriptor).st_ino
        return found == self._inode

    def _read(self) -> Count:
        found = _parse(os.pread(self._descriptor, 2 * _FIELD, 0), self._inode)
        # A new lock file may get the inode of the old one: its counts must not begin where those did.
        return found or Count(self._inode, time.time_ns() // 1000 & ~1, 0)

    def _set(self, changes: int, removals: int) -> Count:
        self._count = Count(self._inode, changes, removals)
        os.pwrite(self._descriptor, _pack(self._count), 0)
        return self._count

    def _write(self) -> None:
        owner = {"pid": os.getpid(), "host": socket.gethostname()}
        text = _pack(self._count) + json.dumps(owner).encode()
        os.pwrite(self._descriptor, text.ljust(_SIZE), 0)

    def _owner(self) -> str:
        try:
            found = json.loads(os.pread(self._descriptor, _SIZE, 2 * _FIELD))
        except (OSError, ValueError):
            return "another process"
        return f"process {found.get('pid')} on {found.get('host')}"


def _disown_all() -> None:
    # The kernel's lock is held until its last descriptor is closed: a child that outlives its parent, killed
    # in the middle of a change, would keep others from it.
    for turns in list(_all):
        turns.disown()


os.register_at_fork(after_in_child=_disown_all)


def look(path: Path) -> Count | None:
    """What the lock file of a store says; None where there is none."""
    lock = companion(path, LOCK_SUFFIX)
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        inode = os.fstat(descriptor).st_ino
        return _parse(os.pread(descriptor, 2 * _FIELD, 0), inode) or Count(inode, 0, 0)
    finally:
        os.close(descriptor)


def counts(path: Path) -> bool:
    """Whether a store's lock file lies beside a file; a recording's begins otherwise."""
    try:
        return _parse(companion(path, LOCK_SUFFIX).read_bytes(), 0) is not None
    except OSError:
        return False


def _pack(count: Count) -> bytes:
    return b"%015x\n%015x\n" % (count.changes, count.removals)


def _parse(data: bytes, inode: int) -> Count | None:
    try:
        return Count(inode, int(data[:_FIELD], 16), int(data[_FIELD : 2 * _FIELD], 16))
    except ValueError:
        return None
