"""One writer a recording: locks that the kernel releases with their process."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from recorder.errors import DamagedError, RecordingLockedError
from recorder.format.layout import LOCK_SUFFIX, RING_SUFFIX, companion
from recorder.ring.arena import Ring

_RECENT = 60.0
"""Seconds for which a recording that another machine wrote to is taken to be written still."""


class RecordingLock:
    """Exclusive right to write a recording. A dead process holds nothing, so no lock is ever stale.

    The lock file says who has it; whatever else it says, only the kernel's lock on it counts. Somebody may
    delete the file, so its folder is locked as well, where the file system can. A forked child lets
    go of neither for its parent: ``filelock`` drops its descriptor there, and :meth:`disown` the folder's.
    """

    def __init__(self, path: Path) -> None:
        self._data, self.path = path, companion(path, LOCK_SUFFIX)
        self._lock = FileLock(self.path, timeout=0, mode=0o644, thread_local=False)
        self._folder = -1

    def acquire(self) -> RecordingLock:
        """Take the lock and write down who has it.

        Raises
        ------
        RecordingLockedError
            A living process has it; the message says which.
        OSError
            The folder cannot be written.
        """
        try:
            self._lock.acquire()
        except Timeout:
            raise self._refusal() from None
        try:
            self._lock_folder()
            owner = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": time.strftime("%Y-%m-%dT%H:%M:%S"),
            }
            self.path.write_text(json.dumps(owner))
        except BaseException:
            self.release()
            raise
        return self

    def release(self) -> None:
        """Remove the lock file and let go: a contender that waits on the removed file notices and retries."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self.path.unlink()
            self._lock.release()
        self.disown()

    def disown(self) -> None:
        """In a forked child: hold nothing, and release nothing of the parent's."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def __enter__(self) -> RecordingLock:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _lock_folder(self) -> None:
        try:
            self._folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.disown()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                # Whoever has it lost the lock file, and ours would say that it is ours.
                self.path.unlink(missing_ok=True)
                raise self._refusal() from None

    def _refusal(self) -> RecordingLockedError:
        found = owner_of(self._data)
        who = f"process {found['pid']} on {found.get('host')}, since {found.get('since')}"
        return RecordingLockedError(
            f"{self._data} is being written by {who if found.get('pid') else 'another process'}"
        )


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of this recording."""
    try:
        with companion(path, LOCK_SUFFIX).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def is_local(ring: Ring) -> bool:
    """Whether a ring can be relied on here: maps of one file on two machines do not agree."""
    return ring.owner["host"] == socket.gethostname() or not ring.restarted


def is_written(path: Path) -> bool:
    """Whether somebody writes a recording.

    Locks of another machine may not reach this one. Its recording is taken to be written as long as anything
    beside it has changed within the last minute.
    """
    if is_held(path):
        return True
    place = companion(path, RING_SUFFIX)
    try:
        ring = Ring.open(place)
    except (OSError, DamagedError):
        return False
    local = is_local(ring)
    ring.close(unlink=False)
    if local:
        return False
    with contextlib.suppress(FileNotFoundError):
        return max(p.stat().st_mtime for p in (path, place, path.parent)) > time.time() - _RECENT
    return False


def owner_of(path: Path) -> dict[str, Any]:
    """Process id, host and start of whoever writes; empty where nobody can be told.

    They stand in the lock file, and where that was deleted or says nothing, in the ring.
    """
    try:
        found = json.loads(companion(path, LOCK_SUFFIX).read_text())
    except (OSError, ValueError):
        found = None
    if isinstance(found, dict) and found.get("pid"):
        return found
    try:
        ring = Ring.open(companion(path, RING_SUFFIX))
    except (OSError, DamagedError):
        return {}
    owner = ring.owner
    ring.close(unlink=False)
    since = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(owner["started"]))
    return {"pid": owner["pid"], "host": owner["host"], "since": since}
