"""What a layer of snnTorch, Norse or one's own returned: tensors by their names, and their values.

Nothing is imported here: modules and tensors are the user's.
"""

from __future__ import annotations

import dataclasses
import numbers
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from recorder.errors import InputError

_HIDDEN = ("syn", "syn_exc", "syn_inh", "mem")
"""Where snnTorch's neurons keep their states, in the order in which they return them."""
_RETURNED = {1: ("mem",), 2: ("syn", "mem"), 3: ("syn_exc", "syn_inh", "mem")}
"""What those are called that its neurons return, by their number."""


def values_of(name: str, module: Any, output: Any, *, last: bool) -> dict[str, Any]:
    """Values of what a module returned, by their names; its output has an empty one.

    Parameters
    ----------
    last : bool
        They are logged at once, and need no copy.

    Raises
    ------
    InputError
        No tensor at the beginning, a state that is none, or two of one name.
    """
    values: dict[str, Any] = {}
    for key, part in _parts(name, module, output):
        if key in values:
            raise InputError(f"modules/{name}", "states of different names", f"two named {key!r}")
        values[key] = _kept(name, part, last=last)
    return values


def together(outputs: dict[str, Any]) -> Any:
    """One vector of all neurons, on the device where they are.

    Raises
    ------
    InputError
        Outputs of several dtypes.
    """
    parts = [part.reshape(-1) for part in outputs.values()]
    if len(parts) == 1:
        return parts[0]
    if len({part.dtype for part in parts}) > 1:
        got = ", ".join(f"{name} {part.dtype}" for name, part in outputs.items())
        raise InputError("spikes", "outputs of one dtype", got, hint="name those that are spikes in spikes=")
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return sys.modules["torch"].cat(parts)


def _kept(name: str, part: Any, *, last: bool) -> Any:
    """A value, as an array where that is possible: those take the short way through log().

    A copy, unless it is logged at once: later layers of the step may work in place.
    """
    if not hasattr(part, "detach"):
        return part if last or not isinstance(part, np.ndarray) else part.copy()
    values = part.detach()
    if values.device.type == "cpu":
        try:
            array = values.numpy()
        except (TypeError, RuntimeError):
            _require_dense(name, values)
            return values  # which a recording will refuse in its own words
        return array if last else array.copy()
    _require_dense(name, values)
    return values if last else values.clone()


def _require_dense(name: str, values: Any) -> None:
    layout = str(getattr(values, "layout", ""))
    if "sparse" in layout:
        raise InputError(f"modules/{name}", "dense tensors", f"one of {layout}", hint="use .to_dense()")


def _parts(name: str, module: Any, output: Any) -> Iterator[tuple[str, Any]]:
    """What a module returned, by its names."""
    first, *states = output if isinstance(output, tuple | list) else (output,)
    if not hasattr(first, "detach"):
        raise InputError(f"modules/{name}", "a tensor, or a tuple that begins with one", type(first).__name__)
    yield "", first
    known: tuple[str, ...] = getattr(output, "_fields", ("",))[1:]
    alone = not known and len(states) == 1
    kind: Any = type(module)
    if not known and _of_snntorch(kind):
        known = _RETURNED.get(len(states), ())
        if getattr(module, "init_hidden", False) and not states:
            for key in _HIDDEN:
                part = getattr(module, key, None)
                if hasattr(part, "detach"):
                    yield key, part
    for index, state in enumerate(states):
        yield from _states(name, known[index] if known else str(index), state, alone=alone)


@cache
def _of_snntorch(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] == "snntorch" for base in kind.__mro__)


def _states(module: str, key: str, state: Any, *, alone: bool = False) -> Iterator[tuple[str, Any]]:
    """A state's values; those within it by their names, without its place where it is the only one."""
    if hasattr(state, "detach") or isinstance(state, np.ndarray | np.generic | numbers.Number):
        yield key, state
    elif state is not None:
        for name, part in _within(module, key, state):
            yield from _states(module, str(name) if alone else f"{key}.{name}", part)


def _within(module: str, key: str, state: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(state, Mapping):
        yield from state.items()
    elif isinstance(state, tuple | list):
        names = getattr(state, "_fields", map(str, range(len(state))))
        yield from zip(names, state, strict=True)
    elif dataclasses.is_dataclass(state):
        for field in dataclasses.fields(state):
            yield field.name, getattr(state, field.name)
    else:
        raise InputError(
            f"modules/{module}",
            "states as tensors, arrays and numbers, or tuples, mappings and dataclasses of them",
            f"{key} as {type(state).__name__}",
        )
