"""Every byte of a store read and compared with its checksum, and its index with its objects."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py

from recorder.errors import FlightrecError
from recorder.format.storage import INDEX, KINDS, SKELETON
from recorder.h5.reading.guard import BROKEN, hard_link, links
from recorder.h5.store import checkpoints, snapshots, spikes, tables, traces
from recorder.h5.store.handle import Handle
from recorder.h5.store.index import index_of
from recorder.h5.store.objects import facts
from recorder.h5.store.session import Session
from recorder.h5.store.sharing import was_changed
from recorder.h5.verify.chunks import check_job, plan
from recorder.h5.verify.finding import Finding, Tally
from recorder.h5.verify.unit import Unit
from recorder.h5.verify.walk import walk

_SLICE = 0.05
"""Seconds for which others wait at a time."""
_WRONG: tuple[type[Exception], ...] = (*BROKEN, FlightrecError, MemoryError)
Find = Callable[[Handle, str], Any]

FINDERS: dict[str, Find] = {
    "snapshot": snapshots.find_snapshot,
    "spike_train": spikes.find_train,
    "compressed": spikes.find_compressed,
    "reservoir": lambda handle, name: traces.find_labelled(handle, "reservoir", name),
    "layer_outputs": tables.find_layers,
    "attention": lambda handle, name: traces.find_labelled(handle, "attention", name),
    "plasticity": lambda handle, name: traces.find_labelled(handle, "plasticity", name),
    "homeostatic": lambda handle, name: traces.find_labelled(handle, "homeostatic", name),
    "performance": tables.find_metrics,
    "checkpoint": checkpoints.find_checkpoint,
}
"""For each kind, what says where an object's bytes are, and that all its parts are there."""


def check_store(
    path: Path, progress: Callable[[int, int], None] | None = None, tally: Tally | None = None
) -> Iterator[Finding]:
    """What is broken in a store's file; others may go on storing meanwhile.

    Parameters
    ----------
    progress : callable, optional
        Called with bytes checked and the file's size.
    tally : Tally, optional
        Counts what was read.

    Raises
    ------
    OSError
        The file cannot be read at all.
    """
    look = _Look(path, Tally() if tally is None else tally, progress)
    session = Session(path, patience=60.0, reaching=False, sync=False)
    try:
        units = session.read(look.units)
        # Where no lock can be taken nobody else can store either.
        writable = os.access(path.parent, os.W_OK)
        at = 0
        while at < len(units):
            if writable:
                with session.looking() as handle:
                    found, at = look.some(handle, units, at)
            else:
                found, at = session.read(functools.partial(look.some, units=units, at=at))
            yield from found
        for kind in KINDS:
            yield from session.read(functools.partial(look.index, kind))
    except _WRONG as error:
        yield Finding("/", f"cannot be read as the specification says: {_line(error)}")
    finally:
        session.close()
    if progress is not None:
        progress(look.total, look.total)


class _Look:
    """What is known while a file is looked at."""

    def __init__(self, path: Path, tally: Tally, progress: Callable[[int, int], None] | None) -> None:
        self._path, self._tally, self._progress = path, tally, progress
        self._seen: set[int] = set()
        self._done = 0
        self.total = path.stat().st_size
        self._kinds = {place: kind.name for kind in KINDS.values() for place in kind.places[:1]}

    def units(self, handle: Handle) -> list[tuple[str, str]]:
        """What is looked at in one go: (path of the group, name in it)."""
        found: list[tuple[str, str]] = []
        self._descend(handle.file, "", found)
        return found

    def _descend(self, group: h5py.Group, path: str, found: list[tuple[str, str]]) -> None:
        for name, address in links(group):
            place = f"{path}/{name}".lstrip("/")
            if address is not None and any(f"{known}/".startswith(f"{place}/") for known in SKELETON):
                self._descend(h5py.Group(h5py.h5o.open(group.id, name.encode())), place, found)
            else:
                found.append((path, name))

    def some(self, handle: Handle, units: list[tuple[str, str]], at: int) -> tuple[list[Finding], int]:
        """As many units as time allows, from the ``at``-th on: what was wrong, and the next one."""
        deadline = time.monotonic() + _SLICE
        found: list[Finding] = []
        with self._path.open("rb") as raw:
            while at < len(units):
                place, name = units[at]
                try:
                    found += self._unit(handle, raw, place, name)
                except _WRONG as error:
                    found.append(Finding(f"/{place}/{name}".replace("//", "/"), _line(error)))
                at += 1
                if self._progress is not None:
                    self._progress(
                        min(max(self._done, self.total * at // len(units)), self.total), self.total
                    )
                if time.monotonic() > deadline:
                    break
        return found, at

    def _unit(self, handle: Handle, raw: Any, place: str, name: str) -> Iterator[Finding]:
        group = handle.file[place] if place else handle.file
        path = f"/{place}/{name}".replace("//", "/")
        address = hard_link(group, name, path)
        if address is None:
            return  # removed since
        unit, sound, kind = Unit(path), True, self._kinds.get(place)
        arrays: list[tuple[str, Any]] = []
        for item in walk(group, name, address, path, set()):
            if isinstance(item, Finding):
                sound = False
                # What users keep beside the store's groups may have links.
                if kind is not None or "cannot be read" in item.message:
                    yield item
            elif isinstance(item.thing, h5py.Dataset):
                inner = int(h5py.h5o.get_info(item.thing.id).addr)
                if inner not in self._seen:
                    # What several objects share is read once.
                    self._seen.add(inner)
                    unit.jobs[item.path] = plan(item.thing, item.path, item.facts, None, complete=True)
                    arrays.append((item.path, item.thing.id))
        for job in unit.jobs.values():
            for nbytes, finding in check_job(job, raw, self._tally, unit.kept):
                self._done += nbytes
                if finding is not None:
                    sound = False
                    yield finding
        if sound and kind is not None:
            facts(handle, kind, name)
            FINDERS[kind](handle, name)
        for where, identifier in arrays if sound else ():
            if was_changed(handle, identifier, where):
                yield Finding(where, "is not what was stored: another program has written into it")

    def index(self, kind: str, handle: Handle) -> list[Finding]:
        """Where the index and the objects do not agree."""
        place = KINDS[kind].places[0]
        if handle.group(f"{INDEX}/{kind}") is None:
            return []
        wrong = []
        index = index_of(handle, kind)
        assert index is not None
        rows = {name: time for time, name in index.everything()}
        there = {name for name, _ in links(h5py.Group(handle.group(place)))}
        where = f"/{INDEX}/{kind}"
        wrong += [Finding(where, f"has {name!r}, which is not there") for name in sorted(rows.keys() - there)]
        if len(there - rows.keys()) > index.others:
            wrong += [Finding(where, f"lacks {name!r}") for name in sorted(there - rows.keys())]
        return wrong


def check_whole(path: Path) -> list[Finding]:
    """All that is wrong with a file that nobody else uses."""
    return list(check_store(path)) if path.exists() else [Finding("/", "is not there")]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
