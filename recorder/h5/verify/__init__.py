"""Reading every byte of a recording and naming what is broken.

A generator of findings: nothing found means that every chunk decodes to its declared size (deflate
streams against their Adler-32, Fletcher-32 where it is stored), and that what the file says of itself
agrees with what it holds. Nothing is repaired and nothing outside the file is followed.

The file is checked unit by unit (an episode, or another group of the root). While a writer is at work,
each through an open file of its own: one that stays behind the writer stumbles over what is new. Only what
is wrong again and again is wrong in such a recording.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import h5py

from recorder.errors import FlightrecError
from recorder.format.layout import JOURNAL_SUFFIX, LOCK_SUFFIX, RING_SUFFIX, companion
from recorder.h5.lock import is_held
from recorder.h5.reading.guard import BROKEN
from recorder.h5.reading.kind import refused
from recorder.h5.summary import patiently
from recorder.h5.untrusted import open_untrusted
from recorder.h5.verify.finding import Finding, Tally
from recorder.h5.verify.look import Look

__all__ = ["Finding", "Tally", "verify"]

_WRONG: tuple[type[Exception], ...] = (*BROKEN, FlightrecError, MemoryError)
_PATIENCE = 4.0
"""Seconds for which a part of a living file is looked at again, before what was found is told."""


def verify(
    path: Path, progress: Callable[[int, int], None] | None = None, tally: Tally | None = None
) -> Iterator[Finding]:
    """Check a recording's HDF5 file, and yield what is broken.

    Parameters
    ----------
    path : Path
        The HDF5 file. One that is being written is checked as far as its counters say.
    progress : callable, optional
        Called with the bytes checked so far and the file's size.
    tally : Tally, optional
        Counts what was read, and what of it is good.

    Raises
    ------
    ReadError
        It is an HDF5 file but no recording, or of a format version that is not known here.
    """
    alive = is_held(path)
    beside = [
        suffix for suffix in (RING_SUFFIX, JOURNAL_SUFFIX, LOCK_SUFFIX) if companion(path, suffix).exists()
    ]
    if not alive:
        for suffix, what in ((RING_SUFFIX, "logged steps wait"), (JOURNAL_SUFFIX, "a change waits")):
            if suffix in beside:
                yield Finding("/", f"its program was killed: {what} beside the file, run `flightrec repair`")
    if alive or JOURNAL_SUFFIX not in beside:
        from recorder.h5.store.check import check_store
        from recorder.h5.store.which import is_store_file

        if is_store_file(path):
            yield from check_store(path, progress, tally)
            return
    look = Look(alive, Tally() if tally is None else tally)
    try:
        units, none = patiently(path, lambda file: (look.units(file), refused(file, path)))
    except _WRONG as error:
        hint = "; `flightrec repair` may bring it back" if beside else ""
        yield Finding("/", f"HDF5 cannot open it ({_line(error)}){hint}")
        return
    if none is not None and not beside:
        raise none
    done, total = 0, path.stat().st_size
    with path.open("rb") as raw, contextlib.nullcontext() if alive else open_untrusted(path) as file:
        for number, unit in enumerate(units):
            # of many small episodes the bookkeeping takes longer than the bytes: then their number counts
            least = total * number // len(units)
            steps = _again(path, raw, look, unit) if file is None else _once(file, raw, look, unit)
            for stored, finding in steps:
                if finding is not None:
                    yield finding
                done = max(done + stored, least)
                if progress is not None:
                    progress(min(done, total), total)
    if progress is not None:
        progress(total, total)


def _once(file: h5py.File, raw: BinaryIO, look: Look, unit: str) -> Iterator[tuple[int, Finding | None]]:
    """Stored bytes that were checked, and findings."""
    try:
        yield from look.at(file, raw, unit)
    except _WRONG as error:
        yield 0, Finding(unit, f"cannot be read as the specification says: {_line(error)}")


def _again(path: Path, raw: BinaryIO, look: Look, unit: str) -> Iterator[tuple[int, Finding | None]]:
    """As :func:`_once`, until nothing is found or patience is at its end."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with open_untrusted(path) as file:
                steps = list(_once(file, raw, look, unit))
        except _WRONG as error:
            steps = [(0, Finding(unit, f"HDF5 cannot open it: {_line(error)}"))]
        if all(finding is None for _, finding in steps) or time.monotonic() > deadline:
            yield from steps
            return
        time.sleep(0.01)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
