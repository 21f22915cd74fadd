"""The files that were rotated away from a store, as its root says: names, time ranges, counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import h5py

from recorder.errors import DamagedError
from recorder.format.storage import KINDS, ROTATED
from recorder.h5.store.handle import Handle
from recorder.h5.store.objects import listed, scanned, sound_index
from recorder.h5.tree import get_document, put_document


@dataclass(frozen=True, slots=True)
class Member:
    """A file that was rotated away.

    Attributes
    ----------
    name : str
        Of the file, in the folder of the store's.
    start, end : float
        Between which timestamps its objects are; +inf and −inf where there are none.
    counts : dict of str to int
        Objects by kind.
    """

    name: str
    start: float
    end: float
    counts: dict[str, int]

    def covers(self, start: float, end: float) -> bool:
        """Whether it can have objects between two timestamps, both included."""
        return self.start <= end and start <= self.end


def members_of(handle: Handle) -> list[Member]:
    """Oldest first.

    Raises
    ------
    DamagedError
    """
    return handle.kept(ROTATED, lambda: members_in(handle.file))


def members_in(file: h5py.File) -> list[Member]:
    """As :func:`members_of`, of any open file."""
    try:
        return [Member(**entry) for entry in get_document(file, ROTATED, [])]
    except TypeError as error:
        raise DamagedError(f"/: {ROTATED} does not say which files were rotated: {error}") from error


def put_members(file: h5py.File, members: list[Member]) -> None:
    """Note them at the root, in place of those that stand there."""
    entries = [{"name": m.name, "start": m.start, "end": m.end, "counts": m.counts} for m in members]
    put_document(file, ROTATED, entries)


def member_of(handle: Handle, name: str) -> Member:
    """What is to be noted of an open file that is rotated away under a name."""
    start, end = math.inf, -math.inf
    counts = counts_of(handle)
    for kind in counts:
        found = listed(handle, kind)
        if found:
            start, end = min(start, found[0][0]), max(end, found[-1][0])
    return Member(name, start, end, counts)


def counts_of(handle: Handle) -> dict[str, int]:
    """Objects by kind, of the kinds that there are."""
    found = {}
    for kind in KINDS:
        index = sound_index(handle, kind)
        found[kind] = len(scanned(handle, kind)) if index is None else len(index)
    return {kind: number for kind, number in found.items() if number}
