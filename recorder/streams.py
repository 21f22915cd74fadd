"""What an episode's calls may carry, checked value by value, without generated code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import StreamType, admit, admit_key, admit_real, admit_timestep, learn
from recorder.errors import StreamTypeError
from recorder.format.layout import BEHAVIOR, NEURAL, REWARDS, WEIGHT_CHANGES
from recorder.options import RecordingOptions
from recorder.sideband import WeightChange, admit_side
from recorder.spike_input import INDICES, SpikeType, admit_spikes, is_empty, learn_spikes

_ARGUMENTS = {NEURAL: "neural_state", BEHAVIOR: "behavior"}


@dataclass(slots=True)
class Call:
    """One call of ``log``, all of it admitted. ``kept`` has a group's values that are to be stored."""

    step: int
    row: bool = True
    """Whether it carries a timestep's data, or nothing at all."""
    kept: dict[str, dict[str, NDArray[Any]]] = field(default_factory=lambda: {NEURAL: {}, BEHAVIOR: {}})
    spikes: NDArray[Any] | None = None
    reward: float | None = None
    weight: dict[str, np.generic] | None = None
    event: bytes | None = None
    new: dict[str, Any] = field(default_factory=dict)
    """What :func:`recorder.schema.validate_timestep_data` takes: the first values of their streams."""


class Streams:
    """The streams of one episode: their types, fixed by their first values, and when samples are due."""

    def __init__(self, options: RecordingOptions) -> None:
        self._options = options
        self.spikes: SpikeType | None = None
        self.weight_fields: dict[str, str] | None = None
        self._kinds: dict[str, StreamType] = {}
        self._due: dict[str, int] = {}
        self._rewarded = False

    def admit(
        self,
        timestep: Any,
        neural_state: Any,
        spikes: Any,
        behavior: Any,
        reward: Any,
        more: Mapping[str, Any],
        *,
        n_neurons: int | None,
        spike_format: str,
    ) -> tuple[Call, Streams]:
        """The call, and the streams as they are once it has been stored; ``self`` stays as it is.

        Raises
        ------
        InputError
            Anything in it that cannot be stored.
        """
        step = admit_timestep(timestep)
        after = self._copy()
        call = Call(step)
        side = admit_side(step, more) if more else None
        given = after._values(call, NEURAL, neural_state) | after._values(call, BEHAVIOR, behavior)
        if spikes is not None:
            given |= after._spikes(call, spikes, n_neurons, spike_format)
        if reward is not None:
            call.reward, given = admit_real(REWARDS, step, reward), True
            if not after._rewarded:
                after._rewarded = True
                call.new["reward"] = call.reward
        if side is not None:
            call.event = side.event
            if side.weight is not None:
                call.weight = after._weight(step, side.weight)
            call.row = given or (side.weight is None and side.event is None)
        return call, after

    def _copy(self) -> Streams:
        other = Streams(self._options)
        other.spikes, other.weight_fields, other._rewarded = self.spikes, self.weight_fields, self._rewarded
        other._kinds, other._due = self._kinds.copy(), self._due.copy()
        return other

    def _values(self, call: Call, group: str, mapping: Any) -> bool:
        if mapping is None:
            return False
        if not isinstance(mapping, Mapping):
            raise StreamTypeError(
                group, f"{_ARGUMENTS[group]} as a dict", type(mapping).__name__, step=call.step
            )
        for key, value in mapping.items():
            name = f"{group}/{key}"
            kind = self._kinds.get(name)
            rate = self._options.rate_of(key) if group == NEURAL else 1
            due = rate <= 1 or call.step >= self._due.get(key, 0)
            if kind is None:
                admit_key(group, key)
                inexact = name in self._options.precisions
                self._kinds[name], array = learn(name, call.step, value, inexact=inexact)
                call.new.setdefault(_ARGUMENTS[group], {})[key] = array
            elif due:
                array = admit(kind, call.step, value)
            if due:
                call.kept[group][key] = array
                if group == NEURAL:
                    self._due[key] = call.step + rate
        return bool(mapping)

    def _spikes(self, call: Call, value: Any, n_neurons: int | None, spike_format: str) -> bool:
        form = spike_format if self.spikes is None else self.spikes.form
        if form != INDICES and is_empty(value):
            return False
        if self.spikes is None:
            self.spikes, call.spikes = learn_spikes(
                call.step, value, n_neurons=n_neurons, spike_format=spike_format
            )
            call.new["spikes"] = call.spikes
        else:
            call.spikes = admit_spikes(self.spikes, call.step, value)
        return True

    def _weight(self, step: int, change: WeightChange) -> dict[str, np.generic]:
        fields: dict[str, str] = dict(change.fields)
        if self.weight_fields is None:
            self.weight_fields = fields
        elif fields != self.weight_fields:
            raise StreamTypeError(
                WEIGHT_CHANGES,
                f"{_signature(self.weight_fields)} (fixed by the episode's first weight change)",
                _signature(fields),
                step=step,
            )
        row: dict[str, Any] = {}
        for (name, kind), value in zip(fields.items(), change.values, strict=True):
            row[name] = np.asarray(value, kind)[()]
        return {name: row[name] for name in self.weight_fields}


def _signature(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {np.dtype(kind).name}" for name, kind in fields.items())
