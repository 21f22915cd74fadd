"""The recordings below a folder, and how each is doing."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

from loaders.find import find_recording, recordings
from recorder.errors import ReadError
from recorder.format.layout import RUNNING
from recorder.h5.living import is_written
from recorder.h5.summary import summarize

MOST = 500
"""The newest ones; of more a list is no help."""
_EVERY = 5.0
"""Seconds between two looks at the folder, and at recordings that run."""
_SOON = 1.0
"""As long as it is empty."""
_MODESTY = 30
"""A recording is looked at again at the earliest after so many times as long as it took."""
_AT_ONCE = 0.3
"""Seconds for which summaries are read in one look; what is left follows in the next ones."""


@dataclass(frozen=True)
class Entry:
    """One line: ``state`` is that of ``flightrec ls``, ``unreadable``, or "" while it has not been read."""

    name: str
    path: Path
    state: str
    episodes: int
    steps: int
    changed: float
    nbytes: int


class Library:
    """What stands in a folder; a recording, given as its folder or its file, is a library of one.

    Raises
    ------
    FileNotFoundError
        There is nothing.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(2, "No such file or directory", str(path))
        self.path = path.absolute()
        self._known: dict[Path, tuple[tuple[int, int], float, Entry]] = {}
        """Of each file what it was when it was looked at, and when it may be again."""
        self._files: list[Path] = []
        self._looked = -math.inf
        self.hidden = 0
        """Older recordings that are not in the list."""

    def look_again(self) -> None:
        """Have the next list know what is new."""
        self._looked = -math.inf

    def entries(self) -> list[Entry]:
        """The newest recordings, those that changed last first."""
        now = time.monotonic()
        if now - self._looked > (_EVERY if self._files else _SOON):
            self._files, self._looked = self._found(), now
        entries = []
        for file in self._files:
            try:
                entries.append(self._entry(file, read=time.monotonic() - now < _AT_ONCE))
            except OSError:
                continue
        return sorted(entries, key=lambda entry: entry.changed, reverse=True)

    def _found(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        found = {}
        for file in recordings(self.path):
            try:
                found[file] = file.stat().st_mtime
            except OSError:
                continue
        if not found:
            try:
                return [find_recording(self.path)]
            except OSError:
                return []
        self.hidden = max(0, len(found) - MOST)
        return sorted(found, key=found.__getitem__, reverse=True)[:MOST]

    def _entry(self, file: Path, *, read: bool) -> Entry:
        facts = file.stat()
        stamp = facts.st_mtime_ns, facts.st_size
        before, due, entry = self._known.get(file, (None, 0.0, None))
        now = time.monotonic()
        # A writer that dies changes nothing of its files.
        running = entry is not None and (entry.state == RUNNING or is_written(file))
        stale = stamp != before or running
        if entry is not None and not (stale and now > due and read):
            return entry
        inside = file.parent != self.path and file.parent.is_relative_to(self.path)
        name = str(file.parent.relative_to(self.path)) if inside else file.resolve().parent.name
        name = os.fsencode(name).decode(errors="replace")
        state, episodes, steps = "", 0, 0
        if read:
            try:
                summary = summarize(file)
                state, episodes, steps = summary.status or "other", summary.episodes, summary.steps
            except ReadError:
                state = "unreadable"
        entry = Entry(name, file, state, episodes, steps, facts.st_mtime, facts.st_size)
        if read:
            then = time.monotonic()
            # Of many episodes it takes a while, and shall not take more than a part of the time.
            self._known[file] = stamp, then + max(_EVERY, _MODESTY * (then - now)), entry
        return entry
