"""A store's file written anew without the room that removed objects left, and put in place as a whole.

The copy is made object by object, some hundred in a change. A copy that was killed goes on where it was,
as long as the store has not been changed since.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5g, h5o

from recorder.errors import HDF5StorageError
from recorder.format.layout import JOURNAL_SUFFIX, companion
from recorder.format.storage import INDEX, KINDS, SKELETON
from recorder.h5 import journal, make
from recorder.h5.journal import sync_folder
from recorder.h5.reading.guard import BROKEN, links
from recorder.h5.store import skeleton
from recorder.h5.store.arrays import Filters
from recorder.h5.store.check import check_store
from recorder.h5.store.handle import Handle
from recorder.h5.store.index import write_index
from recorder.h5.store.objects import count, listed
from recorder.h5.store.overlay import claimed_end
from recorder.h5.store.recover import recover
from recorder.h5.store.session import Session
from recorder.h5.store.state import state_of
from recorder.h5.transaction import LIBVER, transaction

_COMPACTING = "compacting"
"""Root attribute of an unfinished copy: the state of the file that it is a copy of."""
_OBJECTS, _BYTES = 500, 64 << 20
"""Of a change."""
_FIRST_PLACES = frozenset(kind.places[0] for kind in KINDS.values())
Progress = Callable[[int, int], None]


def compact(
    session: Session, filters: Filters, progress: Progress | None = None
) -> tuple[int, int, int, int]:
    """Compact a store's file; returns objects, bytes before and after, and objects an earlier try had copied.

    Others wait meanwhile.

    Raises
    ------
    HDF5StorageError
        The copy is not what the file is; the file was left alone.
    OSError
        The copy cannot be written.
    """
    path = session.path
    temporary = path.with_name(path.name + ".compact")
    with session.looking() as handle:
        before = session.size()
        stamp = ",".join(map(str, state_of(path).file))
        if not _can_resume(temporary, stamp):
            temporary.unlink(missing_ok=True)
            _begin(temporary, stamp)
        copied = _Copy(handle, temporary, progress)
        copied.run()
        with transaction(temporary, _journal(temporary)) as file:
            if not skeleton.is_current(handle.file):
                skeleton.complete(file, filters)
            for kind in KINDS:
                found = listed(handle, kind)
                write_index(file, kind, found, count(handle, kind) - len(found))
            del file.attrs[_COMPACTING]
        _finish(temporary)
        for finding in check_store(temporary):
            raise HDF5StorageError(f"{temporary}: the copy is not sound: {finding}")
        _compare(handle, temporary)
        shutil.copymode(path, temporary)
        temporary.replace(path)
        sync_folder(path.parent)
    return copied.objects, before, path.stat().st_size, copied.found


def _journal(path: Path) -> Path:
    return companion(path, JOURNAL_SUFFIX)


def _can_resume(temporary: Path, stamp: str) -> bool:
    if not temporary.exists():
        _journal(temporary).unlink(missing_ok=True)
        return False
    with contextlib.suppress(*BROKEN):
        recover(temporary)
        with h5py.File(temporary, "r") as file:
            return bool(file.attrs.get(_COMPACTING) == stamp)
    journal.discard(_journal(temporary))
    return False


def _begin(temporary: Path, stamp: str) -> None:
    draft = temporary.with_name(temporary.name + ".new")
    with h5py.File(draft, "w", libver=LIBVER) as file:
        file.attrs[_COMPACTING] = stamp
    draft.replace(temporary)


def _finish(temporary: Path) -> None:
    descriptor = os.open(temporary, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, claimed_end(descriptor))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _compare(handle: Handle, temporary: Path) -> None:
    """Every object of the file is in the copy."""
    with h5py.File(temporary, "r") as file:
        for kind in KINDS.values():
            for place in kind.places:
                group = handle.group(place)
                mine = {name for name, _ in links(h5py.Group(group))} if group is not None else set()
                theirs = {name for name, _ in links(file[place])}
                if mine != theirs:
                    raise HDF5StorageError(
                        f"{temporary}: /{place} has {len(theirs)} objects, not {len(mine)}"
                    )


class _Copy:
    """Copies a tree, shared objects once, into a file that may have some of it already."""

    def __init__(self, handle: Handle, target: Path, progress: Progress | None) -> None:
        self._source, self._target, self._progress = handle.file, target, progress
        self._paths: dict[int, bytes] = {}
        self.objects = self.found = self._bytes = 0
        self._total = sum(count(handle, kind) for kind in KINDS)

    def run(self) -> None:
        """Copy all that is not there."""
        steps = self._tree(self._source.id, b"")
        done = False
        while not done:
            with transaction(self._target, _journal(self._target)) as file:
                self._file = file.id
                self._bytes, copied = 0, 0
                done = True
                for fresh in steps:
                    copied += fresh
                    if copied >= _OBJECTS or self._bytes >= _BYTES:
                        done = False
                        break
            if self._progress is not None:
                self._progress(min(self.objects, self._total), max(self._total, 1))

    def _tree(self, source: Any, path: bytes) -> Iterator[int]:
        """Copy a group's attributes and content; yields after each object, 1 for one that was not there."""
        self._attributes(source, path or b"/")
        for name, address in links(h5py.Group(source)):
            raw, place = name.encode(), path + b"/" + name.encode()
            if not path and name == INDEX:
                continue
            if address is None:
                self._link(source, raw, place)
                continue
            container = any(f"/{known}/".encode().startswith(place + b"/") for known in SKELETON)
            if container:
                self._group(place)
                yield from self._tree(h5o.open(source, raw), place)
                continue
            fresh = not self._there(place)
            self._object(source, raw, place, address)
            if path[1:].decode() in _FIRST_PLACES:
                self.objects += 1
                self.found += not fresh
            yield int(fresh)

    def _object(self, source: Any, raw: bytes, place: bytes, address: int) -> None:
        known = self._paths.get(address)
        if known is not None:
            if not self._there(place):
                self._file.links.create_hard(place, self._file, known, lcpl=make.unicode())
            return
        self._paths[address] = place
        found = h5o.open(source, raw)
        if isinstance(found, h5g.GroupID):
            self._group(place)
            self._attributes(found, place)
            for name, inner in links(h5py.Group(found)):
                below = place + b"/" + name.encode()
                if inner is None:
                    self._link(found, name.encode(), below)
                else:
                    self._object(found, name.encode(), below, inner)
        elif not self._there(place):
            h5o.copy(source, raw, self._file, place, lcpl=make.unicode())
            self._bytes += found.get_storage_size() if hasattr(found, "get_storage_size") else 0

    def _there(self, place: bytes) -> bool:
        return bool(self._file.links.exists(place))

    def _group(self, place: bytes) -> None:
        if not self._there(place):
            make.group(self._file, place)

    def _link(self, source: Any, raw: bytes, place: bytes) -> None:
        if self._there(place):
            return
        make.copy_link(source, raw, self._file, place)

    def _attributes(self, source: Any, place: bytes) -> None:
        target = h5o.open(self._file, place)
        names: list[bytes] = []
        h5a.iterate(source, names.append)
        for name in names:
            if h5a.exists(target, name):
                continue
            given = h5a.open(source, name)
            space = given.get_space()
            made = h5a.create(target, name, given.get_type(), space)
            if space.get_simple_extent_npoints():
                cells = np.empty(given.shape, given.dtype)
                given.read(cells)
                made.write(cells)
