"""One writer a recording: a lock file that the kernel releases with its process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from recorder.errors import RecordingLockedError
from recorder.format.layout import LOCK_SUFFIX


class RecordingLock:
    """Exclusive right to write a recording. A dead process holds nothing, so no lock is ever stale.

    ``filelock`` drops its descriptors in forked children, so a child neither holds nor releases it.
    """

    def __init__(self, path: Path) -> None:
        self._data, self.path = path, path.with_name(path.name + LOCK_SUFFIX)
        self._lock = FileLock(self.path, timeout=0, mode=0o644, thread_local=False)

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
            raise RecordingLockedError(f"{self._data} is being written by {_owner(self.path)}") from None
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": time.strftime("%Y-%m-%dT%H:%M:%S"),
        }
        self.path.write_text(json.dumps(owner))
        return self

    def release(self) -> None:
        """Remove the lock file and let go: a contender that waits on the removed file notices and retries."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self.path.unlink()
            self._lock.release()

    def __enter__(self) -> RecordingLock:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def owner_of(path: Path) -> dict[str, Any]:
    """Process id, host and start of whoever wrote the lock file; empty where nobody can be told."""
    try:
        found = json.loads(path.with_name(path.name + LOCK_SUFFIX).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _owner(lock: Path) -> str:
    found = owner_of(lock.with_name(lock.name.removesuffix(LOCK_SUFFIX)))
    if not found:
        return "another process"
    return f"process {found.get('pid')} on {found.get('host')}, since {found.get('since')}"
