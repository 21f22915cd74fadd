"""Every dataset of a file once, without leaving the file."""

from __future__ import annotations

from collections.abc import Iterator

import h5py

from recorder.h5.verify.finding import Finding


def walk(group: h5py.Group, seen: set[int] | None = None) -> Iterator[h5py.Dataset | Finding]:
    """The datasets at and below ``group``, and findings for what cannot be opened or leads elsewhere.

    Links to other files, external storage and virtual datasets are named, never followed: opening
    them would read whatever file of this machine they point at.
    """
    seen = set() if seen is None else seen
    yield from _attributes(group)
    for name in group:
        path = f"{group.name.rstrip('/')}/{name}"
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            yield Finding(path, "is a link, and a recording has none; it was not followed")
            continue
        try:
            child = group[name]
            address = h5py.h5o.get_info(child.id).addr
        except (KeyError, OSError, RuntimeError, ValueError) as error:
            yield Finding(path, f"cannot be opened: {' '.join(str(error).split())}")
            continue
        if address in seen:
            continue
        seen.add(address)
        if isinstance(child, h5py.Group):
            yield from walk(child, seen)
        elif isinstance(child, h5py.Dataset):
            yield from _attributes(child)
            if child.external or child.is_virtual:
                yield Finding(path, "its data lie in other files; they were not read")
            else:
                yield child


def _attributes(thing: h5py.Group | h5py.Dataset) -> Iterator[Finding]:
    try:
        for _ in thing.attrs.values():
            pass
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        yield Finding(thing.name, f"an attribute cannot be read: {' '.join(str(error).split())}")
