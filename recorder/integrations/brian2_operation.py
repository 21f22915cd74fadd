"""The network operation of ``record_group``: one row a step, and what must hold before there is one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from recorder.errors import OptionError, StateError
from recorder.format.layout import NEURAL, SPIKES
from recorder.integrations.brian2_variables import maker_of, unit_of
from recorder.integrations.extra import missing
from recorder.integrations.target import Target, claim, joined, require_free, streams_of, taken
from recorder.spike_input import SpikeIndices

try:
    import brian2
    from brian2.devices.device import RuntimeDevice
except ImportError as error:
    raise missing("brian2", error) from error

_TOLD: WeakKeyDictionary[Target, dict[str, Any]] = WeakKeyDictionary()
"""By recording: what its metadata say of groups."""
_COUNT = itertools.count()


class RecordedGroup(brian2.NetworkOperation):  # type: ignore[misc]
    """What :func:`recorder.integrations.brian2.record_group` returns.

    Parameters
    ----------
    readers : dict of str to (str, callable)
        By variable: the stream's name, and what reads it now.
    events : callable, optional
        Reads the indices of the step's spikes.
    """

    def __init__(
        self,
        target: Target,
        group: Any,
        *,
        name: str | None,
        readers: dict[str, tuple[str, Callable[[], Any]]],
        events: Callable[[], Any] | None,
        event: str,
        also: Callable[[], Mapping[str, Any]] | None,
        **schedule: Any,
    ) -> None:
        # Brian2 calls run(): a bound method here would be a cycle, which dies late.
        super().__init__(_nothing, **schedule)
        self.add_dependency(group)
        self._clock_step = self.clock.variables["timestep"]
        self._made = next(_COUNT)
        # Brian2 warns of objects that were in no network, unless they have a "group".
        self._target, self._source = target, group
        self._who, self._about = f"record_group of {group.name}", f"brian2.{name or group.name}"
        self._readers, self._states = readers, dict(readers.values())
        self._events, self._event, self._also = events, event, also
        self._first, self._neurons, self._leader = 0, 0 if events is None else len(group), self
        self._episode: Any = None
        self._told: dict[str, Any] = {}
        self._more: set[str] = set()
        self._last = -1

    def before_run(self, run_namespace: Any) -> None:
        """Look at everything that can be known before a step is taken."""
        super().before_run(run_namespace)
        require_runtime()
        network = _network_of(self)
        if network is not None:
            self._find_place(network)
        episode = self._target.current_episode
        if episode is not None and episode is self._episode:
            self._require_same()
        else:
            self._require_free()

    def run(self) -> None:
        """Log a row."""
        target, streams = self._target, self._more
        new = target.current_episode is not self._episode
        if new:
            self._require_free()
            self._tell()
            streams = self._more = set()
        row: dict[str, Any] = {}
        if self._states:
            row["neural_state"] = {name: read() for name, read in self._states.items()}
        if self._events is not None:
            ids = self._events()
            row["spikes"] = SpikeIndices(ids + self._first if self._first else ids, n_neurons=self._neurons)
        if self._also is not None:
            more = self._also()
            row = joined(row, more)
            streams = set(streams_of(more))
            if not streams <= self._more:
                require_free(target, self, streams, self._who)
                new = True
        step = self._timestep()
        target.log(step, **row)
        self._last = step
        if new:
            self._claim(streams)

    def _timestep(self) -> int:
        return int(self._clock_step.get_value()[0])

    def _find_place(self, network: Any) -> None:
        """Where in a network it stands, beside what else is recorded of it."""
        objects = network.sorted_objects
        others = [one for one in objects if isinstance(one, RecordedGroup) and one._target is self._target]
        for one in others:
            common = sorted(one._states.keys() & self._states.keys())
            if common and one is not self and one.active:
                raise taken(f"{NEURAL}/{common[0]}", one._who, self._who)
        if self._events is None:
            return
        places = {id(one): place for place, one in enumerate(objects)}
        maker = maker_of(self._source, self._event)
        if places[id(self)] < places.get(id(maker), -1):
            raise OptionError(
                f"spikes of {self._source.name} are there after the slot {maker.when!r}, and not yet at "
                f"when={self.when!r}, by the schedule of {network.name}: {', '.join(network.schedule)}"
            )
        spiking = sorted((one for one in others if one._events is not None), key=lambda one: one._made)
        steps = {one.clock.dt_ for one in spiking}
        if len(steps) > 1:
            raise OptionError(f"spikes of one episode have one dt, and these groups' are {sorted(steps)} s")
        sizes = [len(one._source) for one in spiking]
        self._first, self._neurons = sum(sizes[: spiking.index(self)]), sum(sizes)
        self._leader = spiking[0]

    def _require_free(self) -> None:
        require_free(self._target, self, self._names(), self._who)
        if self._events is not None:
            require_free(self._target, self._leader, [SPIKES], self._who)

    def _require_same(self) -> None:
        """An episode that goes on has one time and one order of neurons."""
        name, about, step = self._source.name, self._described(), self._timestep()
        for key, was in self._told.items():
            if about[key] != was:
                raise StateError(
                    f"{key} of {name} was {was} when this episode began, and is {about[key]} now: "
                    "start another episode"
                )
        if step < self._last:
            raise StateError(
                f"the network is back at step {step}, and this episode has rows of {name} "
                f"to step {self._last}: start another episode"
            )

    def _tell(self) -> None:
        """Say in the metadata what this is, unless they do."""
        episode, about = self._target.current_episode, self._described()
        told = _TOLD.setdefault(self._target, {})
        if episode is None or told.get(self._about) == about:
            return
        if self._about in told:
            self._target.save_metadata({f"{self._about}.{episode.episode_id}": about})
        else:
            self._target.save_metadata({self._about: about})
            told[self._about] = about

    def _claim(self, more: set[str]) -> None:
        """After a row with streams that this episode had not yet."""
        claim(self._target, self, [*self._names(), *more], self._who)
        if self._events is not None:
            claim(self._target, self._leader, [SPIKES], self._leader._who)
        if self._target.current_episode is not self._episode:
            self._episode, self._told = self._target.current_episode, self._described()
        self._more |= more

    def _names(self) -> list[str]:
        return [f"{NEURAL}/{name}" for name in self._states]

    def _described(self) -> dict[str, Any]:
        variables = self._source.variables
        about = {
            "group": self._source.name,
            "dt": self.clock.dt_,
            "when": self.when,
            "units": {name: unit_of(variables[name].dim) for name in self._readers},
            "version": brian2.__version__,
        }
        if self._events is not None:
            about |= {"event": self._event, "first_neuron": self._first, "neurons": len(self._source)}
        return about


def require_runtime() -> None:
    """Refuse devices on which networks run without Python.

    Raises
    ------
    OptionError
    """
    device = brian2.get_device()
    if not isinstance(device, RuntimeDevice):
        raise OptionError(
            f"{type(device).__name__} runs the network without Python, and calls no network operation: use "
            'set_device("runtime"), or monitors, and log what they have after the run'
        )


def _nothing() -> None:
    """In the place of a function."""


def _network_of(operation: Any) -> Any:
    """The network that is about to run, which an object is not told."""
    living = [network for known in list(brian2.Network.__instances__()) if (network := known()) is not None]
    mine = [network for network in living if operation in network.objects]
    # Once it has run, it belongs to one.
    return next((network for network in mine if network.id == operation._network), mine[0] if mine else None)
