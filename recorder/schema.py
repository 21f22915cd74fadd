"""Checks that only warn: lists of what looks wrong, in the original system's words.

Types and shapes that cannot be stored are refused elsewhere, as errors (``recorder.admission``). That states
have more than two dimensions, of which the original warned, is nothing wrong here.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from recorder.format.layout import SCHEMA_VERSION

__all__ = [
    "SCHEMA_VERSION",
    "SchemaVersion",
    "validate_network_structure",
    "validate_timestep_data",
    "validate_weight_change",
]


class SchemaVersion:
    """A version ``major.minor.patch`` of the layout; equal major numbers are compatible."""

    def __init__(self, version: str = SCHEMA_VERSION) -> None:
        self.version = version
        self.major, self.minor, self.patch = (int(part) for part in version.split("."))

    def is_compatible(self, other: SchemaVersion | str) -> bool:
        """Whether files of the other version can be read by this one."""
        other = other if isinstance(other, SchemaVersion) else SchemaVersion(other)
        return self.major == other.major

    def __repr__(self) -> str:
        return f"SchemaVersion({self.version!r})"


def validate_timestep_data(
    timestep: Any, neural_state: Any = None, spikes: Any = None, behavior: Any = None, reward: Any = None
) -> list[str]:
    """What looks wrong in one timestep's data; empty when nothing does. Never raises."""
    problems = []
    if not _is_int(timestep):
        problems.append(f"timestep should be int, got {type(timestep)}")
    elif timestep < 0:
        problems.append(f"timestep should be non-negative, got {timestep}")
    if neural_state is not None and not isinstance(neural_state, Mapping):
        problems.append(f"neural_state should be dict, got {type(neural_state)}")
    if isinstance(spikes, np.ndarray) and spikes.dtype != np.bool_ and spikes.ndim != 1:
        problems.append(f"spikes should be 1D, got shape {spikes.shape}")
    if behavior is not None and not isinstance(behavior, Mapping):
        problems.append(f"behavior should be dict, got {type(behavior)}")
    elif behavior:
        for key in ("x", "y"):
            if key in behavior and not _is_numeric(behavior[key]):
                problems.append(f"behavior[{key}] should be numeric, got {type(behavior[key])}")
    if reward is not None and not _is_numeric(reward):
        problems.append(f"reward should be numeric, got {type(reward)}")
    return problems


def validate_weight_change(timestep: Any, synapse_id: Any, old_weight: Any, new_weight: Any) -> list[str]:
    """What looks wrong in one weight change; empty when nothing does. Never raises."""
    problems = []
    if not _is_int(timestep) or timestep < 0:
        problems.append(f"Invalid timestep: {timestep}")
    if isinstance(synapse_id, tuple):
        if len(synapse_id) != 2:
            problems.append(f"synapse_id tuple should have length 2, got {len(synapse_id)}")
        elif not all(_is_int(part) for part in synapse_id):
            problems.append("synapse_id tuple should contain integers")
    elif not _is_int(synapse_id):
        problems.append(f"synapse_id should be int or tuple, got {type(synapse_id)}")
    for name, weight in (("old_weight", old_weight), ("new_weight", new_weight)):
        if not _is_numeric(weight):
            problems.append(f"{name} should be numeric, got {type(weight)}")
        elif not _is_finite(weight):
            problems.append(f"{name} should be finite, got {weight}")
    return problems


def validate_network_structure(neurons: Any, connections: Any) -> list[str]:
    """What looks wrong in a network's columns; empty when nothing does. Never raises."""
    problems = []
    for what, columns in (("neurons", neurons), ("connections", connections)):
        if not _has_columns(columns):
            problems.append(f"{what} should be dict, got {type(columns)}")
    neurons, connections = (one if _has_columns(one) else {} for one in (neurons, connections))
    if "neuron_ids" not in neurons:
        problems.append("neurons missing required field 'neuron_ids'")
    else:
        count = _length(neurons["neuron_ids"])
        for key, column in neurons.items():
            if key != "neuron_ids" and (length := _length(column)) not in (None, count):
                problems.append(f"neurons[{key}] length {length} doesn't match n_neurons {count}")
    missing = [name for name in ("source_ids", "target_ids") if name not in connections]
    problems += [f"connections missing required field '{name}'" for name in missing]
    if missing:
        return problems
    count = _length(connections["source_ids"])
    if _length(connections["target_ids"]) != count:
        problems.append("source_ids and target_ids have different lengths")
    for key, column in connections.items():
        if key not in ("source_ids", "target_ids") and (length := _length(column)) not in (None, count):
            problems.append(f"connections[{key}] length {length} doesn't match n_connections {count}")
    return problems


def _is_int(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)


def _is_numeric(value: Any) -> bool:
    if isinstance(value, numbers.Number | np.bool_):
        return True
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    # Other libraries' arrays have dtypes without a kind: what float() takes is a number.
    if kind is None and not isinstance(value, str | bytes) and hasattr(value, "__float__"):
        return True
    return kind in "biufc" if isinstance(kind, str) else False


def _is_finite(value: Any) -> bool:
    try:
        return bool(np.isfinite(value).all())
    except TypeError:  # numbers that NumPy has no place for
        pass
    try:
        return math.isfinite(value)
    except Exception:  # beyond all floats, or of a type of its own
        return True


def _has_columns(value: Any) -> bool:
    """A dict, or what has named columns as one has, such as a table of pandas."""
    return isinstance(value, Mapping) or (hasattr(value, "items") and hasattr(value, "__contains__"))


def _length(column: Any) -> int | None:
    if isinstance(column, str):
        return None
    try:
        return len(column)
    except Exception:  # of whatever type it is
        return None
