"""Random generators whose states were saved with a checkpoint: which of them are in another state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loaders.comparing.difference import ABSENT, Difference, same

_GLOBAL = "the library's own, for draws without a generator"


def unequal_generators(where: str, a: Any, b: Any) -> Iterator[Difference]:
    """Differences between the states that two recordings have of one checkpoint, one for each generator.

    Parameters
    ----------
    where : str
        What differences call the checkpoint.
    a, b : dict or None
        As :meth:`ExperimentLoader.get_random_states` has them.
    """
    if a is None or b is None:
        if not (a is None and b is None):
            there = [ABSENT if side is None else "states" for side in (a, b)]
            yield Difference("random", where, *there)
        return
    one, other = _generators(a), _generators(b)
    for key in dict.fromkeys([*one, *other]):
        found = one.get(key, ABSENT), other.get(key, ABSENT)
        if same(*found):
            continue
        kinds = [_kind(state) for state in found]
        first, second = kinds if kinds[0] != kinds[1] else ("its state", "another")
        sort, name = key
        # Whether a program draws from these cannot be told.
        label = f"{where}.{name}" if sort != "global" else f"{where}, global {name}"
        yield Difference("random", label, first, second, _GLOBAL if sort == "global" else "")


def _generators(states: Any) -> dict[tuple[str, str], Any]:
    """Named and global ones by sort and name."""
    if not isinstance(states, Mapping):
        return {("", "states"): states}
    return {
        (str(sort), str(name)): state
        for sort, part in states.items()
        for name, state in (part.items() if isinstance(part, Mapping) else [("states", part)])
    }


def _kind(state: Any) -> Any:
    """What sort of generator it is: ``numpy PCG64``."""
    if state is ABSENT:
        return ABSENT
    if not isinstance(state, Mapping):
        return "a state"
    inner = state.get("state")
    facts = inner if isinstance(inner, Mapping) else state
    words = (state.get("form"), facts.get("bit_generator"), facts.get("device"), facts.get("impl"))
    return " ".join(str(word) for word in words if word) or "a state"
