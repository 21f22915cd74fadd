"""A Brian2 network operation that records a group: state variables and spikes, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from recorder.errors import OptionError
from recorder.integrations.extra import missing
from recorder.integrations.target import Target, joined
from recorder.spike_input import SpikeIndices

try:
    import brian2
    from brian2.core.variables import ArrayVariable
except ImportError as error:
    raise missing("brian2", error) from error

_THRESHOLDS = "thresholds"


def record_group(
    target: Target,
    group: Any,
    variables: Iterable[str] = (),
    *,
    spikes: bool | None = None,
    event: str = "spike",
    also: Callable[[], Mapping[str, Any]] | None = None,
    dt: Any = None,
    when: str = "end",
    order: int = 0,
) -> Any:
    """A network operation that logs one row a step; add it to the network.

    What it records are the values of a ``StateMonitor`` with the same ``when`` and ``dt``, and the spikes
    of a ``SpikeMonitor``. Timesteps are the clock's, so that time is ``timestep * dt``; they go on over
    several calls of ``run()``. Values are in SI base units, without them; the metadata
    ``brian2.<name of the group>`` have ``dt`` in seconds and the units' names.

    Parameters
    ----------
    target : DataExporter or Triggered
        Its episode is active while the network runs. A ``neural_sampling_rate`` keeps fewer rows of states.
    group : NeuronGroup, Subgroup, PoissonGroup, Synapses, …
    variables : iterable of str
        Names of state variables, shape ``(len(group),)``, or a scalar where they are shared.
    spikes : bool, optional
        Whether to record spikes; by default where the group has them.
    event : str
        Of a custom event, to be recorded in the place of spikes.
    also : callable, optional
        Returns further arguments of ``log()``, for instance ``{"behavior": {"rate": …}}`` or the states of
        another group under other names.
    dt : quantity, optional
        Another step than the group's; spikes are recorded at the group's alone.
    when, order
        The slot of the schedule. Spikes of a step are there after ``"thresholds"``.

    Returns
    -------
    brian2.NetworkOperation

    Raises
    ------
    OptionError
        A variable or event that the group has not, spikes before the slot that makes them or at another step.
    """
    names, events = list(variables), f"_{event}space"
    has = events in group.variables
    if spikes and not has:
        raise OptionError(f"{group.name} has no event {event!r}")
    spiking = has if spikes is None else spikes
    if spiking and not _after_thresholds(when):
        raise OptionError(f"spikes are there after the slot {_THRESHOLDS!r}, and not when={when!r}")
    states = {name: _reader(group, name) for name in names}
    fired = _events(group, events) if spiking else None
    count = len(group) if spiking else 0
    told = False

    def log_step() -> None:
        nonlocal told
        if not told:
            target.save_metadata({f"brian2.{group.name}": _described(operation, group, names)})
            told = True
        row: dict[str, Any] = {}
        if states:
            row["neural_state"] = {name: read() for name, read in states.items()}
        if fired is not None:
            row["spikes"] = SpikeIndices(fired(), n_neurons=count)
        if also is not None:
            row = joined(row, also())
        target.log(int(operation.clock.variables["timestep"].get_value()[0]), **row)

    clock = {"clock": group.clock} if dt is None else {"dt": dt}
    operation = brian2.NetworkOperation(log_step, when=when, order=order, **clock)
    if spiking and float(operation.clock.dt) != float(group.clock.dt):
        raise OptionError(f"spikes are recorded at the group's dt, {group.clock.dt}, and not at {dt}")
    return operation


def _after_thresholds(when: str) -> bool:
    slots = list(brian2.prefs.core.network.default_schedule)
    slot = when.removeprefix("before_").removeprefix("after_")
    if slot not in slots or _THRESHOLDS not in slots:
        return True  # a schedule of the user's own, who knows
    place = slots.index(slot) - slots.index(_THRESHOLDS)
    return place > 0 or when == f"after_{_THRESHOLDS}"


def _bounds(group: Any) -> tuple[int, int] | None:
    return (group.start, group.stop) if isinstance(group, brian2.Subgroup) else None


def _reader(group: Any, name: str) -> Callable[[], Any]:
    """Reads a variable as Brian2 has it now: an array of its own that it updates in place, where it can."""
    if name not in group.variables:
        raise OptionError(f"{group.name} has no variable {name!r}")
    variable, bounds = group.variables[name], _bounds(group)
    if not isinstance(variable, ArrayVariable):
        view = group.state(name, use_units=False)
        return lambda: view[:]
    if variable.scalar:
        return lambda: variable.get_value()[0]
    if group.variables.indices[name] != "_idx":
        linked = group.state(name, use_units=False)
        return lambda: linked[:]
    if bounds is None:
        get: Callable[[], Any] = variable.get_value
        return get
    start, stop = bounds
    return lambda: variable.get_value()[start:stop]


def _events(group: Any, name: str) -> Callable[[], Any]:
    """Reads the indices of the step's spikes, which stand before their number in one array."""
    variable, bounds = group.variables[name], _bounds(group)

    def whole() -> Any:
        space = variable.get_value()
        return space[: space[-1]]

    if bounds is None:
        return whole
    start, stop = bounds

    def part() -> Any:
        ids = whole()
        return ids[(ids >= start) & (ids < stop)] - start

    return part


def _described(operation: Any, group: Any, names: list[str]) -> dict[str, Any]:
    return {
        "group": group.name,
        "dt": float(operation.clock.dt),
        "when": operation.when,
        "units": {name: _unit(group.variables[name].dim) for name in names},
        "version": brian2.__version__,
    }


def _unit(dim: Any) -> str:
    return "1" if dim.is_dimensionless else str(brian2.get_unit(dim))
