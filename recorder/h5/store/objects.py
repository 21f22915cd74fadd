"""What all kinds have in common: a plan that was checked, stored under a free id, indexed, found, removed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
from h5py import h5o

from recorder.admission import admit_name, admit_real
from recorder.errors import DamagedError, InputError
from recorder.format.storage import INDEX, KINDS, TIMESTAMP, base_id, sibling_id
from recorder.h5.reading.guard import hard_link, links
from recorder.h5.store.arrays import Filters
from recorder.h5.store.attributes import facts_of
from recorder.h5.store.handle import Handle
from recorder.h5.store.index import Found, Index, index_of, write_index
from recorder.h5.store.names import Taken, free_id

_MOST = 2.0**53


@dataclass(frozen=True, slots=True)
class Plan:
    """An object that was checked and converted, so that storing it cannot fail on values.

    Attributes
    ----------
    kind, label : str
    timestamp : float
        Seconds.
    write : callable
        Stores it: told the handle, the filters, and its id.
    """

    kind: str
    label: str
    timestamp: float
    write: Callable[[Handle, Filters, str], None]


def admit_timestamp(value: Any) -> float:
    """A timestamp in seconds.

    Raises
    ------
    InputError
        No real number, not finite, or so large that milliseconds are lost in it.
    """
    timestamp = admit_real("timestamp", None, value)
    if not math.isfinite(timestamp) or abs(timestamp * 1000) >= _MOST:
        raise InputError("timestamp", "seconds as a finite number below 9e12", repr(value))
    return timestamp


def admit_label(kind: str, value: Any, timestamp: float) -> str:
    """What the ids of an object begin with.

    Raises
    ------
    InvalidNameError
        HDF5 cannot hold it as a name.
    """
    label = KINDS[kind].label
    if not isinstance(value, str) or not value:
        raise InputError(label, "a name as str", f"{type(value).__name__} {value!r}"[:80])
    admit_name(label, sibling_id(base_id(value, timestamp), 1))
    return str.__str__(value)


def store(handle: Handle, filters: Filters, plan: Plan, elsewhere: Taken | None = None) -> str:
    """Store an object; returns its id, which none has for which ``elsewhere`` is true."""
    kind = KINDS[plan.kind]
    index = sound_index(handle, plan.kind)
    assert index is not None
    name = free_id(handle, kind, plan.label or kind.prefix, plan.timestamp, elsewhere)
    handle.written += 1
    plan.write(handle, filters, name)
    index.add(plan.timestamp, name)
    return name


def exists(handle: Handle, kind: str, name: str) -> bool:
    """Whether there is such an object.

    Raises
    ------
    DamagedError
        A link to another place stands there.
    """
    place = KINDS[kind].places[0]
    group = handle.group(place)
    if group is None or not name or "/" in name or "\0" in name:
        return False
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return hard_link(_Linked(group), name, f"/{place}/{name}") is not None


class _Linked:
    """What :func:`hard_link` asks of a group."""

    __slots__ = ("id",)

    def __init__(self, identifier: Any) -> None:
        self.id = identifier


def count(handle: Handle, kind: str) -> int:
    """How many objects of a kind there are."""
    group = handle.group(KINDS[kind].places[0])
    return 0 if group is None else int(group.get_num_objs())


def facts(handle: Handle, kind: str, name: str) -> dict[str, Any]:
    """The attributes of an object.

    Raises
    ------
    DamagedError
    """
    place = KINDS[kind].places[0]
    found = facts_of(handle.group(place), name, f"/{place}/{name}")
    if not isinstance(found.get(TIMESTAMP), int | float):
        raise DamagedError(f"/{place}/{name}: it has no timestamp")
    return found


def label_of(kind: str, name: str, found: dict[str, Any]) -> str:
    """The label of an object, from its attributes; ids begin with it.

    Raises
    ------
    DamagedError
        They do not agree: a text lies in a heap, where nothing else tells that it was damaged.
    """
    label = str(found.get(KINDS[kind].label, ""))
    if label and not name.startswith(f"{base_id(label, found[TIMESTAMP])}"):
        raise DamagedError(f"/{KINDS[kind].places[0]}/{name}: its {KINDS[kind].label} says {label[:80]!r}")
    return label


def below(handle: Handle, place: str, name: str) -> Any:
    """The group of an object, low level.

    Raises
    ------
    DamagedError
    """
    group = handle.group(place)
    if group is None or hard_link(_Linked(group), name, f"/{place}/{name}") is None:
        raise DamagedError(f"/{place}/{name}: a part of the object is missing")
    return h5o.open(group, name.encode())


def listed(handle: Handle, kind: str, start: float = -math.inf, end: float = math.inf) -> Found:
    """Objects of a kind with ``start <= timestamp <= end``, by timestamp and id.

    A file without an index, or to which another program has added, is looked through child by child.

    Raises
    ------
    DamagedError
    """
    index = sound_index(handle, kind)
    if index is not None:
        return index.between(start, end)
    return sorted((time, name) for time, name in scanned(handle, kind) if start <= time <= end)


def sound_index(handle: Handle, kind: str) -> Index | None:
    """The index of a kind; missing or without some objects it is made anew within a change, else None."""
    try:
        index = index_of(handle, kind)
        if index is not None and len(index) + index.others == count(handle, kind):
            return index
    except DamagedError:
        pass
    if handle.overlay is None or not handle.changing:
        return None
    return _index_anew(handle, kind)


def _index_anew(handle: Handle, kind: str) -> Index | None:
    index = index_of(handle, kind) if handle.has((INDEX, kind)) else None
    if index is not None:
        index.drop(handle)
    found = scanned(handle, kind)
    handle.refresh()
    write_index(handle.file, kind, found, count(handle, kind) - len(found))
    return index_of(handle, kind)


def compare_indices(handle: Handle) -> None:
    """After somebody else's change, which may have put one object in place of another."""
    for kind in KINDS:
        index = sound_index(handle, kind)
        there = {name for name, _ in links(h5py.Group(handle.group(KINDS[kind].places[0])))}
        if index is None or index.others or {name for _, name in index.everything()} != there:
            _index_anew(handle, kind)


def scanned(handle: Handle, kind: str) -> Found:
    """All objects of a kind as they stand in their group, by timestamp and id, but for unreadable ones."""
    place = KINDS[kind].places[0]
    group = handle.group(place)
    found: Found = []
    for name, address in links(h5py.Group(group)) if group is not None else ():
        with contextlib.suppress(DamagedError):
            if address is not None:
                found.append((float(facts(handle, kind, name)[TIMESTAMP]), name))
    return sorted(found)


def remove(handle: Handle, kind: str, names: set[str]) -> int:
    """Remove objects, and their rows of the index; returns how many there were.

    What they shared with others stays for these. The bytes come back with a compaction.
    """
    handle.removes = True
    index = sound_index(handle, kind)
    rest = [row for row in index.everything() if row[1] not in names] if index is not None else None
    gone = 0
    for place in KINDS[kind].places:
        group = handle.group(place)
        for name in names:
            if group is not None and group.links.exists(name.encode()):
                group.unlink(name.encode())
                gone += place == KINDS[kind].places[0]
    handle.refresh()
    if index is not None and rest is not None:
        write_index(handle.file, kind, rest, index.others)
    return gone
