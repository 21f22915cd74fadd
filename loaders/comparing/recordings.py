"""What two recordings do not have in common: data, configuration, code, environment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from loaders.comparing.difference import ABSENT, Difference, same, unequal
from loaders.comparing.episodes import unequal_episodes
from loaders.comparing.generators import unequal_generators
from loaders.documents import checkpoint_facts
from loaders.experiment import ExperimentLoader

_SO_FAR = "episode_count"
_TIME = re.compile(r"_(\d{6})(?:_(\d+))?$")
_OF_A_RUN = frozenset(
    {
        "start_time",
        "end_time",
        "timestamp",
        "process_id",
        "process_start",
        "output_directory",
        "command_line",
        "snapshot_time",
    }
)
"""What no two runs have in common."""
PARTS = ("configuration", "metadata", "code", "environment", "data", "random")


def differences(
    a: ExperimentLoader, b: ExperimentLoader, *, parts: tuple[str, ...] = PARTS
) -> Iterator[Difference]:
    """What two recordings do not have in common, one after the other as it is found.

    Times, process ids, folders and command lines, which no two runs share, are left out. Data are compared
    exactly, in dtype, shape, timestep, value and the order of calls (NaN equals NaN, and -0.0 equals 0.0),
    some ten thousand rows at a time. Spikes that were logged as another dtype, or as indices, differ.

    Parameters
    ----------
    a, b : ExperimentLoader
    parts : tuple of str
        Out of ``configuration``, ``metadata``, ``code``, ``environment``, ``data`` and ``random``: states of
        random generators that were saved with checkpoints.

    Raises
    ------
    ValueError
        A part of another name.
    ReadError
        One of them is damaged.
    """
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise ValueError(f"parts are {', '.join(PARTS)}, not {', '.join(sorted(map(str, unknown)))}")
    for part in PARTS:
        if part in parts:
            yield from _FINDERS[part](a, b)


def _configuration(a: ExperimentLoader, b: ExperimentLoader) -> Iterator[Difference]:
    yield from unequal("configuration", "", a.get_config(), b.get_config())


def _metadata(a: ExperimentLoader, b: ExperimentLoader) -> Iterator[Difference]:
    sides = []
    for side in (a, b):
        root, metadata = side.attributes, side.get_metadata()
        # What the user saved under a name of the root's is the user's.
        given = {key: value for key, value in metadata.items() if not same(root.get(key, ABSENT), value)}
        sides.append(_lasting(root) | given)
    yield from unequal("metadata", "", *sides)


def _code(a: ExperimentLoader, b: ExperimentLoader) -> Iterator[Difference]:
    yield from unequal("code", "git", a.get_git_info() or {}, b.get_git_info() or {})
    one, other = a.get_code_snapshot(), b.get_code_snapshot()
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) == other.get(name):
            continue
        if name in one and name in other:
            yield Difference("code", name, "its text", "another", _lines(one[name], other[name]))
        else:
            there = ["its text" if name in side else ABSENT for side in (one, other)]
            yield Difference("code", name, *there)


def _lines(a: str, b: str) -> str:
    import difflib

    changes = list(difflib.unified_diff(a.splitlines(), b.splitlines(), lineterm="", n=0))[2:]
    removed, added = (sum(line.startswith(sign) for line in changes) for sign in "-+")
    return f"{removed} lines of the first, {added} of the second"


def _environment(a: ExperimentLoader, b: ExperimentLoader) -> Iterator[Difference]:
    facts = [_lasting({k: _parsed(v) for k, v in side.get_runtime_info().items()}) for side in (a, b)]
    yield from unequal("environment", "", *facts)


def _parsed(text: Any) -> Any:
    """Lists of packages and variables are JSON in a text."""
    if isinstance(text, str) and text.startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            pass
    return text


def _data(a: ExperimentLoader, b: ExperimentLoader) -> Iterator[Difference]:
    yield from unequal("data", "network", a.get_network_structure(), b.get_network_structure())
    one, other = a.list_episodes(), b.list_episodes()
    for number in sorted({*one, *other}):
        if number in one and number in other:
            yield from unequal_episodes(a.get_episode(number), b.get_episode(number))
        else:
            there = ["there" if number in side else ABSENT for side in (one, other)]
            yield Difference("data", f"episode {number}", *there)
    points = [_timeless(side, side.get_all_checkpoints()) for side in (a, b)]
    yield from unequal("data", "checkpoints", *points)
    # The episodes that had begun by then; how many of all there are is said above.
    counts = [
        _timeless(side, {name: fact.get(_SO_FAR) for name, fact in _facts(side).items()}) for side in (a, b)
    ]
    for name in counts[0].keys() & counts[1].keys():
        yield from unequal("data", f"checkpoints.{name}, episodes so far", counts[0][name], counts[1][name])


def _random(a: ExperimentLoader, b: ExperimentLoader) -> Iterator[Difference]:
    one, other = (_timeless(side, side.get_random_states()) for side in (a, b))
    for name in dict.fromkeys([*one, *other]):
        yield from unequal_generators(f"checkpoints.{name}", one.get(name), other.get(name))


def _timeless(side: ExperimentLoader, points: dict[str, Any]) -> dict[str, Any]:
    """What checkpoints have, by name without its time and number, in the order in which they were saved."""
    facts = _facts(side)
    found: dict[str, Any] = {}
    for name in sorted(points, key=lambda name: _order(name, facts.get(name, {}))):
        stem, number, values = _TIME.sub("", name), 1, points[name]
        while f"{stem} {number}" in found:
            number += 1
        found[f"{stem} {number}"] = values
    return found


def _facts(side: ExperimentLoader) -> dict[str, dict[str, Any]]:
    return side.at_once(lambda loader: checkpoint_facts(loader.h5_file))


def _order(name: str, facts: dict[str, Any]) -> tuple[str, int, str, str, int]:
    """Name, episodes so far, date, and for those without them: time of day, and number within the second."""
    known = facts.get(_SO_FAR)
    then = known if isinstance(known, int) else 0, str(facts.get("timestamp", ""))
    found = _TIME.search(name)
    stem, time, number = (_TIME.sub("", name), found[1], int(found[2] or 1)) if found else (name, "", 1)
    return stem, *then, time, number


def _lasting(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in _OF_A_RUN}


_FINDERS = {
    "configuration": _configuration,
    "metadata": _metadata,
    "code": _code,
    "environment": _environment,
    "data": _data,
    "random": _random,
}
