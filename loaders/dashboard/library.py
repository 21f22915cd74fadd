"""The recordings below a folder, and how each is doing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
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
        self.path = path
        self._known: dict[Path, tuple[tuple[int, int], float, Entry]] = {}
        self._files: list[Path] = []
        self._looked = 0.0

    def entries(self) -> list[Entry]:
        """The newest recordings, those that changed last first."""
        now = time.monotonic()
        if not self._files or now - self._looked > _EVERY:
            self._files, self._looked = self._found(), now
        entries = []
        for file in self._files:
            try:
                entries.append(self._entry(file, read=time.monotonic() - now < _AT_ONCE))
            except FileNotFoundError:
                continue
        return sorted(entries, key=lambda entry: entry.changed, reverse=True)

    def _found(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        found = {}
        for file in recordings(self.path):
            try:
                found[file] = file.stat().st_mtime
            except FileNotFoundError:
                continue
        if not found:
            try:
                return [find_recording(self.path)]
            except FileNotFoundError:
                return []
        return list(islice(sorted(found, key=found.__getitem__, reverse=True), MOST))

    def _entry(self, file: Path, *, read: bool) -> Entry:
        facts = file.stat()
        stamp = facts.st_mtime_ns, facts.st_size
        before, when, entry = self._known.get(file, (None, 0.0, None))
        now = time.monotonic()
        # A writer that dies changes nothing of its files.
        running = entry is not None and (entry.state == RUNNING or is_written(file))
        stale = stamp != before or running
        if entry is not None and not (stale and now - when > _EVERY):
            return entry
        inside = file.parent != self.path and file.parent.is_relative_to(self.path)
        name = str(file.parent.relative_to(self.path)) if inside else file.resolve().parent.name
        state, episodes, steps = "", 0, 0
        if read:
            try:
                summary = summarize(file)
                state, episodes, steps = summary.status or "other", summary.episodes, summary.steps
            except ReadError:
                state = "unreadable"
        entry = Entry(name, file, state, episodes, steps, facts.st_mtime, facts.st_size)
        if read:
            self._known[file] = stamp, now, entry
        return entry
