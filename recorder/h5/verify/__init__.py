"""Reading every byte of a recording and naming what is broken.

A generator of findings: nothing found means that every chunk decodes to its declared size (deflate
streams against their Adler-32), and that what the file says of itself agrees with what it holds.
Nothing is repaired and nothing outside the file is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py

from recorder.errors import DamagedError
from recorder.format.layout import (
    COMMITTED,
    CONFIG,
    DOCUMENT,
    EPISODES,
    FORMAT,
    JOURNAL_SUFFIX,
    METADATA,
    NETWORK,
    RING_SUFFIX,
)
from recorder.h5.summary import being_written
from recorder.h5.tree import get_document
from recorder.h5.verify.chunks import check_dataset
from recorder.h5.verify.episode import Committed, check_episode
from recorder.h5.verify.finding import Finding
from recorder.h5.verify.network import check_network
from recorder.h5.verify.walk import walk

__all__ = ["Finding", "verify"]


def verify(path: Path, progress: Callable[[int, int], None] | None = None) -> Iterator[Finding]:
    """Check a recording's HDF5 file, and yield what is broken.

    Parameters
    ----------
    path : Path
        The HDF5 file. One that is being written is checked as far as its counters say.
    progress : callable, optional
        Called with the bytes checked so far and the file's size.
    """
    alive = being_written(path)
    if not alive:
        for suffix, what in ((RING_SUFFIX, "logged steps"), (JOURNAL_SUFFIX, "a change")):
            if path.with_name(path.name + suffix).exists():
                yield Finding(
                    "/", f"its program was killed: {what} wait beside the file, run `flightrec repair`"
                )
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        yield Finding("/", f"HDF5 cannot open it ({_line(error)}); `flightrec repair` may bring it back")
        return
    with file:
        yield from _check_bytes(file, progress)
        if file.attrs.get("format") == FORMAT:
            yield from _check_sense(file, alive)


def _check_bytes(file: h5py.File, progress: Callable[[int, int], None] | None) -> Iterator[Finding]:
    total, done = file.id.get_filesize(), 0
    ours = file.attrs.get("format") == FORMAT
    committed = Committed(file)
    for found in walk(file):
        if isinstance(found, Finding):
            yield found
            continue
        # chunks past the counter belong to a write that is still under way
        for stored, finding in check_dataset(found, committed.rows(found), complete=ours):
            if finding is not None:
                yield finding
            done += stored
            if progress is not None:
                progress(min(done, total), total)
    if progress is not None:
        progress(total, total)


def _check_sense(file: h5py.File, alive: bool) -> Iterator[Finding]:
    for name in (CONFIG, METADATA):
        if name in file:
            yield from _guarded(f"/{name}", partial(_document, file[name]))
    if NETWORK in file:
        yield from _guarded(f"/{NETWORK}", partial(check_network, file))
    for group in file.get(EPISODES, {}).values():
        if COMMITTED in group and not alive:
            yield Finding(group.name, "it never ended: its program was killed, run `flightrec repair`")
        yield from _guarded(group.name, partial(check_episode, group))


def _document(group: h5py.Group) -> Iterator[Finding]:
    get_document(group, DOCUMENT)
    yield from ()


def _guarded(path: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check's findings; what it stumbles over is one more, so that the rest is still checked."""
    try:
        yield from check()
    except DamagedError as error:
        yield Finding(path, _line(error))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        yield Finding(path, f"cannot be read as the specification says: {_line(error)}")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
