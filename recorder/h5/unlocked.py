"""Whether somebody still writes a recording that has no lock of ours: one of the plain exporter."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

_SAME_START = 2.0
"""Seconds: the system's clock may have been set since it said when a process began."""


def is_open_to_write(path: Path, runtime: Mapping[str, Any]) -> bool:
    """Whether a program has the file open in HDF5 to write, as far as that can be known.

    HDF5 locks what it writes. Where it was told not to (``HDF5_USE_FILE_LOCKING=FALSE``), or the file system
    has no locks, a recording is taken to be written as long as the process lives that began it.

    Parameters
    ----------
    runtime : mapping
        What the recording says of the process that began it.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return runtime.get("hostname") == socket.gethostname() and _lives(runtime)


def _lives(runtime: Mapping[str, Any]) -> bool:
    import psutil

    try:
        began = psutil.Process(int(runtime["process_id"])).create_time()
        said = datetime.fromisoformat(str(runtime["process_start"])).timestamp()
    except (psutil.Error, KeyError, ValueError, OverflowError):
        return False
    return abs(began - said) < _SAME_START
