"""Every object of a group once, without leaving the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py

from recorder.errors import DamagedError
from recorder.h5.reading.guard import BROKEN, attributes, links, open_child
from recorder.h5.verify.finding import Finding

_ERRORS: tuple[type[Exception], ...] = (*BROKEN, DamagedError)
_MAX_DEPTH = 64
LINK = "is a link, and a recording has none; it was not followed"
"""What a finding says of a soft or external link."""


@dataclass(frozen=True, slots=True)
class Item:
    """A group or dataset, and its attributes as far as they can be read."""

    path: str
    thing: Any
    facts: dict[str, Any]


def walk(
    parent: h5py.Group, name: str, address: int | None, path: str, seen: set[int], depth: int = 0
) -> Iterator[Item | Finding]:
    """What is at and below ``parent[name]``, and findings for what cannot be opened or leads away.

    Links to other files, external storage and virtual datasets are named, never followed: opening
    them would read whatever file of this machine they point at.

    Parameters
    ----------
    parent, name, address
        Its group, and what :func:`recorder.h5.reading.guard.links` says of it.
    path : str
        What findings call it.
    seen : set of int
        Where the objects stand that have been met.
    """
    if depth > _MAX_DEPTH:
        yield Finding(f"{path[:200]} …", f"nested more than {_MAX_DEPTH} levels; it was not followed")
        return
    if address is None:
        yield Finding(path, LINK)
        return
    if address in seen:
        yield Finding(path[:200], "stands in two places, as nothing in a recording does")
        return
    seen.add(address)
    try:
        child = open_child(parent, name.encode("utf-8", "surrogateescape"), path)
        h5py.h5o.get_info(child.id)  # looks at indices that nothing else does
        facts = attributes(child)
        below = links(child) if isinstance(child, h5py.Group) else []
    except _ERRORS as error:
        yield Finding(path, f"cannot be read: {_line(error).removeprefix(f'{path}: ')}")
        return
    yield Item(path, child, facts)
    for inner, place in below:
        yield from walk(child, inner, place, f"{path}/{inner}", seen, depth + 1)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
