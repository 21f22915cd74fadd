"""Ids that are free, found in a few looks however many objects a millisecond has."""

from __future__ import annotations

from collections.abc import Callable

from recorder.format.storage import Kind, base_id, sibling_id
from recorder.h5.store.handle import Handle

_REMEMBERED = 4096


Taken = Callable[[str], bool]


def free_id(handle: Handle, kind: Kind, label: str, timestamp: float, elsewhere: Taken | None = None) -> str:
    """``<label>_<ms>``, or the first free one that follows it; ``elsewhere`` says what others have taken."""
    base = base_id(label, timestamp)
    group = handle.group(kind.places[0])

    def taken(name: str) -> bool:
        return bool(group.links.exists(name.encode())) or (elsewhere is not None and elsewhere(name))

    last: dict[str, int] = handle.kept(("ids", kind.name), dict)
    if base not in last and not taken(base):
        if len(last) > _REMEMBERED:
            last.clear()
        last[base] = 0
        return base
    number = last.get(base, -1) + 1
    if base not in last:
        number = _first_free(taken, base)
    # An id of another label may look like this one.
    while taken(sibling_id(base, max(number, 1))):
        number = max(number, 1) + 1
    last[base] = max(number, 1)
    return sibling_id(base, max(number, 1))


def _first_free(taken: Taken, base: str) -> int:
    """A number that is free after one that is taken: all before it, unless some were removed."""
    high = 1
    while taken(sibling_id(base, high)):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if taken(sibling_id(base, middle)):
            low = middle
        else:
            high = middle
    return high
