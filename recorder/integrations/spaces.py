"""Gymnasium's spaces as streams: a name for each array in an observation or an action."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from recorder.admission import admit_key
from recorder.errors import InputError, OptionError
from recorder.integrations.extra import missing
from recorder.integrations.host import to_host

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
    host : bool, default False
        Copy tensors on a GPU to the host, and not where they are.

    Raises
    ------
    OptionError
        A space whose elements have no fixed shape (text, graphs, sequences, one of several), or of which two
        arrays would have one name.
    InvalidNameError
        A key that HDF5 cannot hold.
    """

    def __init__(self, name: str, space: Any, *, host: bool = False) -> None:
        self._copy = _copy_on_host if host else _copy
        self._root = _part(name, space)
        for leaf, times in Counter(_names(self._root)).items():
            if times > 1:
                raise OptionError(
                    f"{times} arrays of the space would be recorded as {leaf}, where a key has a dot "
                    "in it, or is a number and a text: rename it, by gymnasium.wrappers.TransformObservation "
                    "or TransformAction"
                )

    def copied(self, value: Any, step: int | None = None) -> dict[str, Any]:
        """The arrays of one element by their names; environments may write the next into the same ones.

        Raises
        ------
        InputError
            Other keys than the space's, or another number of parts; ``step`` is named in it.
        """
        if isinstance(self._root, str):
            return {self._root: self._copy(value)}
        out: dict[str, Any] = {}
        self._take(self._root, value, step, out)
        return out

    def _take(self, nest: _Nest, value: Any, step: int | None, out: dict[str, Any]) -> None:
        try:
            fits = value.keys() == nest.parts.keys() if nest.keyed else len(value) == len(nest.parts)
        except (AttributeError, TypeError):
            fits = False
        if not fits:
            raise _misfit(nest, value, step)
        for key, part in nest.parts.items():
            if isinstance(part, str):
                out[part] = self._copy(value[key])
            else:
                self._take(part, value[key], step, out)


def row(parts: dict[str, Any], index: int) -> dict[str, Any]:
    """One environment's arrays of those of a batch."""
    return {name: part[index] for name, part in parts.items()}


class _Nest:
    """A dict or a tuple of further parts; those that are no nest are the names of arrays."""

    __slots__ = ("keyed", "name", "parts")

    def __init__(self, name: str, parts: dict[Any, str | _Nest], *, keyed: bool) -> None:
        self.name, self.parts, self.keyed = name, parts, keyed


def _part(name: str, space: Any) -> str | _Nest:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        parts = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        inner = {key: _part(f"{name}.{key}", part) for key, part in parts}
        return _Nest(name, inner, keyed=isinstance(space, spaces.Dict))
    if not isinstance(space, _ARRAYS):
        raise OptionError(
            f"{name} is of {space}, whose elements are no arrays of one shape: transform it first, by "
            "gymnasium.wrappers.TransformObservation or TransformAction"
        )
    return admit_key("behavior", name)


def _names(part: str | _Nest) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    else:
        for inner in part.parts.values():
            yield from _names(inner)


def _misfit(nest: _Nest, value: Any, step: int | None) -> InputError:
    if not nest.keyed:
        sized = hasattr(value, "__len__")
        got = f"{type(value).__name__} of {len(value)}" if sized else type(value).__name__
        return InputError(nest.name, f"a tuple of {len(nest.parts)}, as its space", got, step=step)
    wanted = ", ".join(map(repr, nest.parts))
    got = ", ".join(map(repr, value)) if hasattr(value, "keys") else type(value).__name__
    hint = "gymnasium.wrappers.TransformObservation or TransformAction make it fit its space"
    return InputError(nest.name, f"a dict of {wanted}, as its space", got or "no key", step=step, hint=hint)


def _copy(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, int | float | np.generic):
        return value
    if hasattr(value, "detach") and hasattr(value, "clone"):
        return value.detach().clone()
    return copy.deepcopy(value) if isinstance(value, list | tuple) else value


def _copy_on_host(value: Any) -> Any:
    on_host = to_host(value)
    return _copy(value) if on_host is value else on_host
