"""Gymnasium's spaces as streams: a name for each array in an observation or an action."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import numpy as np

from recorder.admission import admit_key
from recorder.errors import OptionError
from recorder.integrations.extra import missing

try:
    from gymnasium import spaces
except ImportError as error:
    raise missing("gymnasium", error) from error

_ARRAYS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


class Leaves:
    """The arrays of a space's elements, which may be nested in dicts and tuples.

    Parameters
    ----------
    name : str
        Of the stream; nested arrays have names like ``observation.camera`` and ``observation.0``.

    Raises
    ------
    OptionError
        A space whose elements have no fixed shape (text, graphs, sequences, one of several), or of which two
        arrays would have one name.
    InvalidNameError
        A key that HDF5 cannot hold.
    """

    def __init__(self, name: str, space: Any) -> None:
        paths = _paths(name, space, ())
        for leaf, times in Counter(leaf for leaf, _ in paths).items():
            if times > 1:
                raise OptionError(
                    f"{times} arrays of the space would be recorded as {leaf}, where a key has a dot "
                    "in it, or is a number and a text: rename it, by gymnasium.wrappers.TransformObservation "
                    "or TransformAction"
                )
        self._paths = dict(paths)
        self._alone = name if self._paths == {name: ()} else None

    def of(self, value: Any) -> dict[str, Any]:
        """The arrays of one element by their names, not copied."""
        if self._alone is not None:
            return {self._alone: value}
        return {name: _at(value, path) for name, path in self._paths.items()}

    def copied(self, value: Any) -> dict[str, Any]:
        """The same as copies: environments may write the next observation into the same array."""
        return {name: _copy(part) for name, part in self.of(value).items()}


def row(parts: dict[str, Any], index: int) -> dict[str, Any]:
    """One environment's arrays of those of a batch."""
    return {name: part[index] for name, part in parts.items()}


def _paths(name: str, space: Any, path: tuple[Any, ...]) -> list[tuple[str, tuple[Any, ...]]]:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        return [leaf for key, part in parts for leaf in _paths(f"{name}.{key}", part, (*path, key))]
    if not isinstance(space, _ARRAYS):
        raise OptionError(
            f"{name} is of {space}, whose elements are no arrays of one shape: transform it first, by "
            "gymnasium.wrappers.TransformObservation or TransformAction"
        )
    return [(admit_key("behavior", name), path)]


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _copy(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, int | float | np.generic):
        return value
    if hasattr(value, "detach") and hasattr(value, "clone"):
        return value.detach().clone()
    return copy.deepcopy(value) if isinstance(value, list | tuple) else value
