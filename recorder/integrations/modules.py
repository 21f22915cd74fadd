"""Forward hooks on spiking layers of snnTorch, Norse or one's own: outputs and states, step by step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from recorder.admission import admit_name
from recorder.errors import InputError, OptionError
from recorder.integrations.hooks import Hook
from recorder.integrations.layers import together, values_of
from recorder.integrations.target import Counter, Target, require_target


class RecordModules:
    """Log one row whenever each of the modules has been called once: one time step of the network.

    A module's output is a tensor, or a tuple of a tensor and states. The tensors of all modules, flattened
    and one after the other, are the row's spikes, and keep their values; the metadata ``modules`` say at
    which neuron each begins. States are ``neural_state`` by names like ``hidden.mem`` (snnTorch),
    ``hidden.v`` (Norse; named tuples, mappings and dataclasses) or ``hidden.0``, in the shape they have,
    batch included. States that snnTorch hides (``init_hidden=True``) are read from the module. Timesteps
    count in each episode from 0. Without an active episode the hooks rest. A module of whole sequences
    gives one row a sequence.

    A forward pass that fails is no row: a warning says so when the next one begins. Copies of a hooked
    network are not hooked. ``torch.compile`` leaves its graph for the hooks (unless ``fullgraph=True``
    forbids it), and has to know them: hook modules before the compiled network is called first, or call
    ``torch.compiler.reset()``.

    Parameters
    ----------
    target : DataExporter, Triggered or Staged
        Takes tensors on the CPU; on a GPU put ``Staged`` before it.
    modules : mapping of str to module
        Or a ``ModuleDict``, for instance ``{"hidden": net.lif1, "out": net.lif2}``. Each is called once a
        step.
    spikes : iterable of str, optional
        Whose outputs are spikes; all by default. Those of others are ``neural_state``, as ``fc.output``.

    Raises
    ------
    InvalidNameError
        A name that HDF5 cannot hold.
    OptionError
        A target that nothing can be logged into, no modules, something that has no forward hooks,
        or a name in ``spikes`` that is none of theirs.
    """

    def __init__(
        self, target: Target, modules: Mapping[str, Any], *, spikes: Iterable[str] | None = None
    ) -> None:
        require_target(target, "RecordModules")
        named = dict(modules.items()) if hasattr(modules, "items") else {}
        if not named or not all(hasattr(m, "register_forward_hook") for m in named.values()):
            raise OptionError(f"modules must be named torch modules, got {modules!r}"[:300])
        self._spiking = set(named if spikes is None else spikes)
        if strange := self._spiking - named.keys():
            raise OptionError(f"spikes: {sorted(strange)} are none of {sorted(named)}")
        for name in named:
            admit_name("modules", name)
        self._target, self._modules = target, named
        self._counter = Counter(f"RecordModules of {', '.join(named)}"[:200])
        self._episode: Any = None
        self._told, self._missing = False, set(named)
        self._again = self._twice = False
        """Whether the step under way has begun anew, and the last whole one had."""
        self._seen: dict[str, dict[str, Any]] = {}
        """Of the step that is under way: what each module gave, its output as an empty name."""
        self._hooks = [
            module.register_forward_hook(Hook(partial(self._called, name))) for name, module in named.items()
        ]

    def remove(self) -> None:
        """Remove the hooks; what was logged stays. A warning says if modules were never called."""
        if self._hooks and self._missing:
            warnings.warn(
                f"{sorted(self._missing)} were not called in an episode since they were hooked, and no step "
                "was recorded. A network that was compiled and called before does not know of hooks: "
                "torch.compiler.reset()",
                stacklevel=2,
            )
        self._unhook()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.remove()
        else:
            self._unhook()

    def _unhook(self) -> None:
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook.remove()
        self._seen.clear()

    def _called(self, name: str, module: Any, output: Any) -> None:
        episode = self._target.current_episode
        if episode is not self._episode:
            self._episode = episode
            self._begin()
        if episode is None:
            return
        if name in self._seen:
            self._call_again(name)
        if self._missing:
            self._missing.discard(name)
        whole = len(self._seen) + 1 == len(self._modules)
        self._seen[name] = values_of(name, module, output, last=whole)
        if whole:
            seen = {key: self._seen[key] for key in self._modules}
            self._twice = self._again
            self._begin()
            self._log(seen)

    def _begin(self) -> None:
        self._seen = {}
        self._again = False

    def _call_again(self, name: str) -> None:
        """A step's first module comes again after a forward pass that failed; more than that is an error."""
        others = sorted(self._modules.keys() - self._seen.keys())
        failed = next(iter(self._seen)) == name and not self._twice
        self._begin()
        if not failed:
            raise InputError(f"modules/{name}", "one call of each module a step", f"two before {others}")
        self._again = True
        warnings.warn(
            f"modules/{name} was called again before {others}: the forward pass before failed, it seems, and "
            "is not recorded",
            stacklevel=2,
        )

    def _log(self, seen: dict[str, dict[str, Any]]) -> None:
        states: dict[str, Any] = {}
        outputs: dict[str, Any] = {}
        for name, parts in seen.items():
            for key, part in parts.items():
                if not key and name in self._spiking:
                    outputs[name] = part
                    continue
                stream = f"{name}.{key or 'output'}"
                if stream in states:
                    raise InputError(f"modules/{name}", "states of different names", f"two named {stream!r}")
                states[stream] = part
        if not self._told:
            self._target.save_metadata({"modules": self._described(seen)})
            self._told = True
        row: dict[str, Any] = {"neural_state": states} if states else {}
        if outputs:
            row["spikes"] = together(outputs)
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
