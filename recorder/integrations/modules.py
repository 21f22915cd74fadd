"""Forward hooks on spiking layers of snnTorch, Norse or one's own: outputs and states, step by step.

Nothing is imported here: modules and tensors are the user's.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from types import TracebackType
from typing import Any, Self

import numpy as np

from recorder.admission import admit_name
from recorder.errors import InputError, OptionError
from recorder.integrations.target import Counter, Target

_HIDDEN = ("syn", "syn_exc", "syn_inh", "mem")
"""Where snnTorch's neurons keep their states, in the order in which they return them."""


class RecordModules:
    """Log one row whenever each of the modules has been called once: one time step of the network.

    A module's output is a tensor, or a tuple of a tensor and states. The tensors of all modules, flattened
    and one after the other, are the row's spikes, and keep their values; the metadata ``modules`` say at
    which neuron each begins. States are ``neural_state`` by names like ``hidden.mem`` (snnTorch),
    ``hidden.v`` (Norse, a named tuple's) or ``hidden.0``, in the shape they have, batch included. States
    that snnTorch hides (``init_hidden=True``) are read from the module. Timesteps count in each episode
    from 0. Without an active episode the hooks rest. A module of whole sequences gives one row a sequence.

    Parameters
    ----------
    target : DataExporter, Triggered or Staged
        Takes tensors on the CPU; on a GPU put ``Staged`` before it.
    modules : mapping of str to module
        For instance ``{"hidden": net.lif1, "out": net.lif2}``; each is called once a step.
    spikes : iterable of str, optional
        Whose outputs are spikes; all by default. Those of others are ``neural_state``, as ``fc.output``.

    Raises
    ------
    InvalidNameError
        A name that HDF5 cannot hold.
    OptionError
        No modules, something that has no forward hooks, or a name in ``spikes`` that is none of theirs.
    """

    def __init__(
        self, target: Target, modules: Mapping[str, Any], *, spikes: Iterable[str] | None = None
    ) -> None:
        if not modules or not all(hasattr(m, "register_forward_hook") for m in modules.values()):
            raise OptionError(f"modules must be named torch modules, got {modules!r}"[:300])
        self._spiking = set(modules if spikes is None else spikes)
        if strange := self._spiking - modules.keys():
            raise OptionError(f"spikes: {sorted(strange)} are none of {sorted(modules)}")
        for name in modules:
            admit_name("modules", name)
        self._target, self._modules = target, dict(modules)
        self._counter = Counter(f"RecordModules of {', '.join(modules)}"[:200])
        self._episode: Any = None
        self._told = False
        self._seen: dict[str, dict[str, Any]] = {}
        """Of the step that is under way: what each module gave, its output as an empty name."""
        self._hooks = [
            module.register_forward_hook(partial(self._called, name)) for name, module in modules.items()
        ]

    def remove(self) -> None:
        """Remove the hooks; what was logged stays."""
        for hook in self._hooks:
            hook.remove()
        self._seen.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _called(self, name: str, module: Any, arguments: Any, output: Any) -> None:  # noqa: ARG002
        episode = self._target.current_episode
        if episode is not self._episode:
            self._episode = episode
            self._seen.clear()
        if episode is None:
            return
        if name in self._seen:
            others = sorted(self._modules.keys() - self._seen.keys())
            self._seen.clear()
            raise InputError(f"modules/{name}", "one call of each module a step", f"two before {others}")
        whole = len(self._seen) + 1 == len(self._modules)
        self._seen[name] = {key: _kept(part, last=whole) for key, part in _parts(name, module, output)}
        if whole:
            seen, self._seen = self._seen, {}
            self._log({key: seen[key] for key in self._modules})

    def _log(self, seen: dict[str, dict[str, Any]]) -> None:
        states: dict[str, Any] = {}
        outputs: dict[str, Any] = {}
        for name, parts in seen.items():
            for key, part in parts.items():
                if key:
                    states[f"{name}.{key}"] = part
                elif name in self._spiking:
                    outputs[name] = part
                else:
                    states[f"{name}.output"] = part
        if not self._told:
            self._target.save_metadata({"modules": self._described(seen)})
            self._told = True
        row: dict[str, Any] = {"neural_state": states} if states else {}
        if outputs:
            row["spikes"] = _together(outputs)
        self._target.log(self._counter.step(self._target, row), **row)
        self._counter.advance(self._target)

    def _described(self, seen: dict[str, dict[str, Any]]) -> dict[str, Any]:
        about: dict[str, Any] = {}
        first = 0
        for name, parts in seen.items():
            kind, output = type(self._modules[name]), parts[""]
            about[name] = {"type": f"{kind.__module__}.{kind.__qualname__}", "shape": list(output.shape)}
            if name in self._spiking:
                about[name]["first_neuron"] = first
                first += math.prod(output.shape)
        return about


def _kept(tensor: Any, *, last: bool) -> Any:
    """The tensor's values, as an array where that is possible: those take the short way through log().

    A copy, unless it is logged at once: later layers of the step may work in place.
    """
    values = tensor.detach()
    if values.device.type == "cpu":
        try:
            array = values.numpy()
        except (TypeError, RuntimeError):
            return values  # which a recording will refuse in its own words
        return array if last else array.copy()
    return values if last else values.clone()


def _parts(name: str, module: Any, output: Any) -> Iterator[tuple[str, Any]]:
    """The tensors of what a module returned by their names; its output has none."""
    first, *states = output if isinstance(output, tuple | list) else (output,)
    if not hasattr(first, "detach"):
        raise InputError(f"modules/{name}", "a tensor, or a tuple that begins with one", type(first).__name__)
    yield "", first
    known: tuple[str, ...] = ()
    kind: Any = type(module)
    if _of_snntorch(kind):
        known = {1: ("mem",), 2: ("syn", "mem"), 3: ("syn_exc", "syn_inh", "mem")}.get(len(states), ())
        if getattr(module, "init_hidden", False) and not states:
            for key in _HIDDEN:
                part = getattr(module, key, None)
                if hasattr(part, "detach"):
                    yield key, part
    for index, state in enumerate(states):
        yield from _states(known[index] if known else str(index), state, alone=len(states) == 1)


@cache
def _of_snntorch(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] == "snntorch" for base in kind.__mro__)


def _states(key: str, state: Any, *, alone: bool = False) -> Iterator[tuple[str, Any]]:
    """A state's tensors; a named tuple's by its names, without its place where it is the only one."""
    if hasattr(state, "detach"):
        yield key, state
    elif isinstance(state, tuple | list):
        for name, part in zip(getattr(state, "_fields", map(str, range(len(state)))), state, strict=True):
            yield from _states(name if alone else f"{key}.{name}", part)


def _together(outputs: dict[str, Any]) -> Any:
    """One vector of all neurons, on the device where they are."""
    parts = [part.reshape(-1) for part in outputs.values()]
    if len(parts) == 1:
        return parts[0]
    if len({part.dtype for part in parts}) > 1:
        got = ", ".join(f"{name} {part.dtype}" for name, part in outputs.items())
        raise InputError("spikes", "outputs of one dtype", got, hint="name those that are spikes in spikes=")
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return sys.modules["torch"].cat(parts)
