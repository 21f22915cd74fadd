"""Every dataset of a group once, without leaving the file."""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from recorder.h5.verify.finding import Finding

_ERRORS = (KeyError, OSError, RuntimeError, TypeError, ValueError)


def walk(parent: h5py.Group, name: str, seen: set[int] | None = None) -> Iterator[h5py.Dataset | Finding]:
    """The datasets at and below ``parent[name]``, and findings for what cannot be opened or leads away.

    Links to other files, external storage and virtual datasets are named, never followed: opening
    them would read whatever file of this machine they point at.
    """
    seen = set() if seen is None else seen
    path = name if name.startswith("/") else f"{parent.name.rstrip('/')}/{name}"
    if not isinstance(parent.get(name, getlink=True), h5py.HardLink):
        yield Finding(path, "is a link, and a recording has none; it was not followed")
        return
    try:
        child = parent[name]
        address = h5py.h5o.get_info(child.id).addr
    except _ERRORS as error:
        yield Finding(path, f"cannot be opened: {' '.join(str(error).split())}")
        return
    if address in seen:
        return
    seen.add(address)
    yield from attributes(child)
    if isinstance(child, h5py.Group):
        for below in child:
            yield from walk(child, below, seen)
    elif isinstance(child, h5py.Dataset):
        if child.external or child.is_virtual:
            yield Finding(path, "its data lie in other files; they were not read")
        else:
            yield child


def attributes(thing: h5py.Group | h5py.Dataset) -> Iterator[Finding]:
    """A finding where an attribute cannot be read."""
    try:
        for _ in thing.attrs.values():
            pass
    except _ERRORS as error:
        yield Finding(thing.name, f"an attribute cannot be read: {' '.join(str(error).split())}")
