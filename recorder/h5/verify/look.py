"""One look at one unit of an open file: bookkeeping first, then bytes, then sense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import h5py

from recorder.errors import DamagedError, ReadError
from recorder.format.layout import (
    COMMITTED,
    CONFIG,
    DOCUMENT,
    EPISODES,
    FORMAT,
    METADATA,
    NETWORK,
    RUNNING,
)
from recorder.h5.reading.guard import attributes, child_dataset, child_group, links
from recorder.h5.reading.rows import read_rows
from recorder.h5.scales import scales_at
from recorder.h5.tree import get_document
from recorder.h5.verify.chunks import check_job, plan
from recorder.h5.verify.episode import check_episode
from recorder.h5.verify.finding import Finding, Tally
from recorder.h5.verify.network import check_network
from recorder.h5.verify.unit import Unit
from recorder.h5.verify.walk import Item, walk


class Look:
    """What is known of the file while its units are looked at.

    Parameters
    ----------
    alive : bool
        Whether a writer is at work.
    tally : Tally
        Counts what was read.
    """

    def __init__(self, alive: bool, tally: Tally) -> None:
        self.alive, self.tally = alive, tally
        self._seen: set[int] = set()
        self._file: h5py.File | None = None
        self._root: dict[str, Any] = {}
        self._places: dict[str, int | None] = {}
        self._parents: dict[str, h5py.Group] = {}

    def units(self, file: h5py.File) -> list[str]:
        """Paths of what is looked at in one go; ``/`` is the root's own attributes."""
        self._units(file)
        return ["/", *self._places]

    def _units(self, file: h5py.File) -> None:
        self._places = {f"/{name}": address for name, address in links(file)}
        episodes = child_group(file, EPISODES) if self._places.get(f"/{EPISODES}") is not None else None
        self._parents = {"": file}
        if episodes is not None:
            del self._places[f"/{EPISODES}"]
            self._parents[f"/{EPISODES}"] = episodes
            self._places |= {f"/{EPISODES}/{name}": address for name, address in links(episodes)}

    def at(self, file: h5py.File, raw: BinaryIO, path: str) -> Iterator[tuple[int, Finding | None]]:
        """Stored bytes that were just checked, and what was wrong with them."""
        if self._file is not file:
            self._file, self._root = file, attributes(file)
            self._units(file)
        if path == "/":
            yield from ((0, finding) for finding in self._check_root(file))
        elif path in self._places:  # of a living file, it was there a moment ago
            yield from self._look(raw, path)

    def _look(self, raw: BinaryIO, path: str) -> Iterator[tuple[int, Finding | None]]:
        ours = self._root.get("format") == FORMAT
        unit, counters = Unit(path), None
        above, _, name = path.rpartition("/")
        parent = self._parents[above]
        # All of HDF5's bookkeeping first, then the chunks themselves: these never change once they are there.
        if above and self._places[path] is not None:
            try:
                counters = _counters(child_group(parent, name))
            except ReadError as error:
                yield 0, Finding(f"{path}/{COMMITTED}", str(error).removeprefix(f"{path}/{COMMITTED}: "))
        seen: set[int] = set() if self.alive else self._seen
        for found in walk(parent, name, self._places[path], path, seen):
            if isinstance(found, Finding):
                yield 0, found
                continue
            unit.items[found.path] = found
            if isinstance(found.thing, h5py.Dataset):
                unit.jobs[found.path] = plan(found.thing, found.path, found.facts, counters, complete=ours)
                yield from ((0, finding) for finding in _check_scales(found))
        tally = Tally() if self.alive else self.tally
        for job in unit.jobs.values():
            yield from check_job(job, raw, tally, unit.kept)
        if ours and unit.items:
            yield from ((0, finding) for finding in self._sense(unit))

    def _check_root(self, file: h5py.File) -> Iterator[Finding]:
        self._seen.add(h5py.h5o.get_info(file.id).addr)
        if self._root.get("format") == FORMAT and self._root.get("status") == RUNNING and not self.alive:
            yield Finding("/", "it was never closed: its program was killed, run `flightrec repair`")

    def _sense(self, unit: Unit) -> Iterator[Finding]:
        if unit.path.startswith(f"/{EPISODES}/"):
            if unit.has(COMMITTED) and not self.alive:
                yield Finding(unit.path, "it never ended: its program was killed, run `flightrec repair`")
            yield from check_episode(unit)
        elif unit.path == f"/{NETWORK}":
            yield from check_network(unit, self._root)
        elif unit.path in (f"/{CONFIG}", f"/{METADATA}") and all(job.sound for job in unit.jobs.values()):
            get_document(unit.items[unit.path].thing, DOCUMENT)


def _check_scales(item: Item) -> Iterator[Finding]:
    for axis in range(len(item.thing.shape or ())):
        try:
            scales_at(item.thing.id, axis, item.path)
        except DamagedError as error:
            yield Finding(item.path, str(error).removeprefix(f"{item.path}: "))


def _counters(group: h5py.Group | None) -> Any:
    """The counters of a running episode; None once it has ended and shapes are exact."""
    counters = None if group is None else child_dataset(group, COMMITTED)
    if counters is None or len(counters.shape) != 1:
        return None
    return read_rows(counters, 0, counters.shape[0])
