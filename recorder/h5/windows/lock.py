"""One process at a time makes a cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from recorder.errors import StorageLockedError, WriteError

LOCK_SUFFIX = ".build.lock"


@contextlib.contextmanager
def building(path: Path) -> Iterator[None]:
    """Nobody else makes the cache at ``path`` meanwhile; a dead process holds nothing.

    Raises
    ------
    StorageLockedError
        Another process does.
    WriteError
        The lock file cannot be made.
    """
    place = path.with_name(path.name + LOCK_SUFFIX)
    lock = FileLock(place, timeout=0, mode=0o644, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise StorageLockedError(f"{path} is being made by another process, or thread") from None
    except OSError as error:
        raise WriteError(f"{place} cannot be made: {error}") from error
    try:
        yield
    finally:
        # While it is held: who waits for it notices that it has gone.
        with contextlib.suppress(OSError):
            place.unlink()
        lock.release()
