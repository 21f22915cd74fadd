"""Whether a file is the one that something was made from: by its stamp at once, else by its contents."""

from __future__ import annotations

import functools
import os
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

_PART = 1 << 22
_SETTLED = 0.1
"""Seconds after which a further change shows in the times of a file, however coarse they are."""

Stamp = list[int]
"""Size, and times of the last change of contents and of the inode, in nanoseconds; empty: not known."""


def stamp(state: os.stat_result) -> Stamp:
    """What changes with the file; setting its times back changes it too."""
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def settled_stamp(state: os.stat_result) -> Stamp:
    """As :func:`stamp`, or empty where the file changed so lately that a further change may not show."""
    return stamp(state) if time.time() - state.st_ctime > _SETTLED else []


def contents(path: Path) -> str:
    """A hash of all of a file's bytes."""
    digest = blake2b(digest_size=16)
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
    return digest.hexdigest()


def of_file(path: Path) -> dict[str, Any]:
    """The fingerprint of a source.

    Raises
    ------
    OSError
    """
    before = path.stat()
    found = contents(path)
    # Should it change meanwhile, its stamp is another one afterwards.
    return {"name": path.name, "stamp": settled_stamp(before), "blake2b": found, "size": before.st_size}


def fits(path: Path, recorded: dict[str, Any]) -> bool:
    """Whether a file that is there has the contents of a fingerprint.

    Raises
    ------
    OSError
    """
    state = path.stat()
    if recorded.get("stamp") == stamp(state):
        return True
    return recorded.get("size") == state.st_size and recorded.get("blake2b") == _known(path, *stamp(state))


@functools.lru_cache(maxsize=1 << 16)
def _known(path: Path, *_: int) -> str:
    # A corpus that was copied has other stamps, and is asked about several times until an index has these.
    return contents(path)
