"""Finding the recording that is to be watched, and waiting for it to begin."""

from __future__ import annotations

import os
import time
from pathlib import Path

from loaders.find import find_recording
from recorder.errors import NotRunningError, OptionError
from recorder.format.layout import DATA_FILE, LOCK_SUFFIX, companion
from recorder.h5.living import is_written

_PAUSE = 0.05


def find_live(path: str | os.PathLike[str], wait: float | None) -> Path:
    """The HDF5 file of a recording: ``path`` itself, or of the recordings below it the newest that runs.

    A recording that is named, by its folder or its file, need not run. The file's path is absolute.

    Raises
    ------
    NotRunningError
        None began within ``wait`` seconds; None waits as long as it takes.
    OptionError
        ``wait`` is no number of seconds.
    """
    if wait is not None and not (isinstance(wait, int | float) and wait >= 0):
        raise OptionError(f"wait must be seconds, 0 or more, or None, got {wait!r}")
    place = Path(path).absolute()  # whoever changes the working folder goes on with this one
    deadline = None if wait is None else time.monotonic() + wait
    while True:
        found = _named(place) or _newest(place)
        if found is not None:
            return found
        if deadline is not None and time.monotonic() >= deadline:
            raise NotRunningError(f"no recording is being written in {path}, {wait:g} seconds long")
        time.sleep(_PAUSE)


def _named(path: Path) -> Path | None:
    if path.is_dir() and not (path / DATA_FILE).exists():
        return None
    try:
        return find_recording(path)
    except FileNotFoundError:
        return None


def _newest(folder: Path) -> Path | None:
    running = []
    for file in folder.glob(f"*/{DATA_FILE}"):
        try:
            begun = companion(file, LOCK_SUFFIX).stat().st_mtime_ns
            running.append((begun, file))
        except FileNotFoundError:
            continue
    return next((file for _, file in sorted(running, reverse=True) if is_written(file)), None)
