"""What was read of recordings, kept in a file of the user's, so that ten thousand of them are listed at once.

A recording that has ended is read again only when its file is another: inode, size or time of modification.
One that is being written, or waits for its repair, is read every time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recorder.errors import FlightrecError
from recorder.format.document import dumps, loads
from recorder.format.layout import JOURNAL_SUFFIX, LOCK_SUFFIX, RING_SUFFIX, companion

VERSION = 2
"""Of the rows: those of another version are read anew."""
_PAUSE = 5.0
"""Seconds of reading after which what was read is kept: each time the disk is waited for."""
_BESIDE = (RING_SUFFIX, JOURNAL_SUFFIX, LOCK_SUFFIX)


def index_path(folder: Path) -> Path:
    """Where the index of a folder is: in the user's cache, as the folder may not be ours to write into."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:24]
    return cache / "flightrec" / f"{name}.sqlite"


def stamp_of(file: Path) -> str | None:
    """What changes when a recording does; None while it is being written, or waits for its repair."""
    if is_beside(file):
        return None
    state = file.stat()
    return f"{state.st_ino}:{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}"


def is_beside(file: Path) -> bool:
    """Whether anything lies beside a file that is there while it is written, or until it is repaired."""
    own = companion(file, "")
    return any(os.path.lexists(f"{own}{suffix}") for suffix in _BESIDE)


class Index:
    """Rows by path below the folder. Whatever goes wrong with the file costs time and nothing else.

    Parameters
    ----------
    path : Path or None
        None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def load(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Stamp and row of each recording that is known."""
        found = {}
        with contextlib.suppress(sqlite3.Error, OSError, FlightrecError), self._opened() as table:
            for name, stamp, row in table.execute("SELECT name, stamp, facts FROM recordings"):
                found[name] = stamp, loads(row)
        return found

    def save(self, rows: dict[str, tuple[str, dict[str, Any]]], gone: set[str]) -> None:
        """Keep rows in place of those of the same name, and forget others."""
        if not rows and not gone:
            return
        kept = _documents(rows)
        with (
            contextlib.suppress(sqlite3.Error, OSError, FlightrecError),
            self._opened() as table,
            table,
        ):
            table.executemany(
                "DELETE FROM recordings WHERE name = ?", [(name,) for name in gone if name.isprintable()]
            )
            table.executemany(
                "INSERT OR REPLACE INTO recordings VALUES (?, ?, ?)",
                kept,
            )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if self._path is None:
            raise FileNotFoundError("no index is kept")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        table = sqlite3.connect(self._path, timeout=10.0)
        try:
            if table.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                table.execute("DROP TABLE IF EXISTS recordings")
                table.execute(f"PRAGMA user_version = {VERSION}")
            table.execute(
                "CREATE TABLE IF NOT EXISTS recordings"
                " (name TEXT PRIMARY KEY, stamp TEXT NOT NULL, facts BLOB NOT NULL) WITHOUT ROWID"
            )
            yield table
        finally:
            table.close()


def _documents(rows: dict[str, tuple[str, dict[str, Any]]]) -> list[tuple[str, str, bytes]]:
    """Names, stamps and rows; not of a name that is not UTF-8, or a row that no document holds.

    Their recordings are read again each time.
    """
    found = []
    for name, (stamp, row) in rows.items():
        with contextlib.suppress(FlightrecError, ValueError):
            found += [(name, stamp, dumps(row))] if name.isprintable() else []
    return found


@contextlib.contextmanager
def kept(index: Index, gone: set[str]) -> Iterator[Callable[[str, str, dict[str, Any]], None]]:
    """Told names, stamps and rows, which it keeps every few seconds, so that who is interrupted can go on."""
    rows: dict[str, tuple[str, dict[str, Any]]] = {}
    last = time.monotonic()

    def keep(name: str, stamp: str, row: dict[str, Any]) -> None:
        nonlocal last
        rows[name] = stamp, row
        if time.monotonic() - last >= _PAUSE:
            index.save(rows, set())
            rows.clear()
            last = time.monotonic()

    try:
        yield keep
    finally:
        index.save(rows, gone)
