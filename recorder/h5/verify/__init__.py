"""Reading every byte of a recording and naming what is broken.

A generator of findings: nothing found means that every chunk decodes to its declared size (deflate
streams against their Adler-32), and that what the file says of itself agrees with what it holds.
Nothing is repaired and nothing outside the file is followed.

The file is checked unit by unit (an episode, or another group of the root), each through an open file of
its own: a writer may be at work, and an open file that stays behind it stumbles over what is new. Only
what is wrong again and again is wrong in such a recording.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import h5py

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
from recorder.h5.summary import MISREADINGS, PATIENCE, being_written, patiently
from recorder.h5.tree import get_document
from recorder.h5.verify.chunks import Job, check_job, plan
from recorder.h5.verify.episode import check_episode, counters_of
from recorder.h5.verify.finding import Finding
from recorder.h5.verify.network import check_network
from recorder.h5.verify.walk import attributes, walk

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
        for suffix, what in ((RING_SUFFIX, "logged steps wait"), (JOURNAL_SUFFIX, "a change waits")):
            if path.with_name(path.name + suffix).exists():
                yield Finding("/", f"its program was killed: {what} beside the file, run `flightrec repair`")
    try:
        units = patiently(path, _units)
    except MISREADINGS as error:
        yield Finding("/", f"HDF5 cannot open it ({_line(error)}); `flightrec repair` may bring it back")
        return
    done, total = 0, path.stat().st_size
    for number, unit in enumerate(units):
        # many small episodes are more bookkeeping than stored bytes: then their number tells how far we are
        least = total * number // len(units)
        for stored, finding in _check_unit(path, unit, alive):
            if finding is not None:
                yield finding
            done = max(done + stored, least)
            if progress is not None:
                progress(min(done, total), total)
    if progress is not None:
        progress(total, total)


def _units(file: h5py.File) -> list[str]:
    episodes = [f"/{EPISODES}/{name}" for name in file.get(EPISODES, ())]
    return ["/", *(f"/{name}" for name in file if name != EPISODES), *episodes]


def _check_unit(path: Path, unit: str, alive: bool) -> Iterator[tuple[int, Finding | None]]:
    """Stored bytes that were checked, and findings."""
    deadline = time.monotonic() + PATIENCE
    while True:
        findings: list[Finding] = []
        stored = 0
        try:
            with h5py.File(path, "r", locking=False) as file, path.open("rb") as raw:
                for nbytes, finding in _look(file, raw, unit, alive):
                    stored += nbytes
                    if finding is not None:
                        findings.append(finding)
                    elif not alive:
                        yield nbytes, None
        except MISREADINGS as error:
            findings.append(Finding(unit, f"cannot be read as the specification says: {_line(error)}"))
        if not alive or not findings or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    yield stored if alive else 0, None
    yield from ((0, finding) for finding in findings)


def _look(file: h5py.File, raw: BinaryIO, unit: str, alive: bool) -> Iterator[tuple[int, Finding | None]]:
    if unit == "/":
        yield from ((0, finding) for finding in attributes(file))
        return
    if alive and unit not in file:  # it was there a moment ago
        return
    ours = file.attrs.get("format") == FORMAT
    counters = counters_of(file[unit]) if unit.startswith(f"/{EPISODES}/") else None
    jobs: list[Job] = []
    # All of HDF5's bookkeeping first, then the chunks themselves: these never change once they are there.
    for found in walk(file, unit):
        if isinstance(found, Finding):
            yield 0, found
        else:
            jobs.append(plan(found, counters, complete=ours))
    for job in jobs:
        yield from check_job(job, raw)
    if ours:
        yield from ((0, finding) for finding in _sense(file, unit, alive))


def _sense(file: h5py.File, unit: str, alive: bool) -> Iterator[Finding]:
    group = file[unit]
    if unit.startswith(f"/{EPISODES}/"):
        if COMMITTED in group and not alive:
            yield Finding(unit, "it never ended: its program was killed, run `flightrec repair`")
        yield from check_episode(group)
    elif unit == f"/{NETWORK}":
        yield from check_network(file)
    elif unit in (f"/{CONFIG}", f"/{METADATA}"):
        get_document(group, DOCUMENT)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
