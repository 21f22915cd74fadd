"""A Brian2 network operation that records a group: state variables and spikes, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from recorder.admission import admit_key, admit_name
from recorder.errors import OptionError
from recorder.format.layout import NEURAL
from recorder.integrations.brian2_operation import RecordedGroup, require_runtime
from recorder.integrations.brian2_variables import events_of, maker_of, reader_of
from recorder.integrations.extra import missing
from recorder.integrations.target import Target, require_target

try:
    import brian2
except ImportError as error:
    raise missing("brian2", error) from error


def record_group(
    target: Target,
    group: Any,
    variables: str | Iterable[str] = (),
    *,
    spikes: bool | None = None,
    event: str = "spike",
    also: Callable[[], Mapping[str, Any]] | None = None,
    dt: Any = None,
    when: str = "end",
    order: int = 0,
    name: str | None = None,
) -> Any:
    """A network operation that logs one row a step; add it to the network.

    What it records are the values of a ``StateMonitor`` with the same ``when`` and ``dt``, and the spikes
    of a ``SpikeMonitor``. Timesteps are those of the operation's clock, and go on over several calls of
    ``run()``. Values are in SI base units, without them; the metadata ``brian2.<name>`` have ``dt`` in
    seconds, so that time is ``timestep * dt``, and the units' names. An episode where they are others
    has them as ``brian2.<name>.<its id>``.

    Several groups of one network may be recorded into one episode, each by an operation of its own, with a
    ``name`` where names would be the same. Their spikes are one stream: the neurons of the group whose
    operation was made first are the first, and so on; ``first_neuron`` and ``neurons`` in the metadata say
    where each begins, and how many it has.

    Parameters
    ----------
    target : DataExporter or Triggered
        Its episode is active while the network runs. A ``neural_sampling_rate`` keeps fewer rows of states.
    group : NeuronGroup, Subgroup, PoissonGroup, Synapses, …
    variables : str or iterable of str
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
    name : str, optional
        Stands before the names of states, as in ``excitatory.v``, and in the place of the group's name in
        the metadata.

    Returns
    -------
    brian2.NetworkOperation

    Raises
    ------
    OptionError
        A target that nothing can be logged into, no group, a variable or event that it has not,
        spikes before the slot that makes them or at another step, a device that runs without Python
        (``cpp_standalone``).
    InvalidNameError
        A name that HDF5 cannot hold or that the layout keeps for itself.

    When a run begins, Brian2 raises a ``BrianObjectException`` before any step; its cause is:

    OptionError
        The network's own schedule has spikes after this slot, or groups with another ``dt`` have spikes.
    InputError
        A stream that another operation or integration records in this episode.
    StateError
        ``dt`` or the neurons of the spikes are others than when the episode began, or the network's time
        has gone back, by ``restore()`` for instance: an episode has one time.
    """
    require_target(target, "record_group")
    require_runtime()
    if not isinstance(group, brian2.Group):
        raise OptionError(f"expected a group of Brian2, got {type(group).__name__}")
    if not isinstance(variables, Iterable):
        raise OptionError(f"expected names of variables, got {variables!r}")
    space = f"_{event}space"
    if spikes and space not in group.variables:
        raise OptionError(f"{group.name} has no event {event!r}")
    spiking = space in group.variables if spikes is None else bool(spikes)
    clock: dict[str, Any] = {"clock": group.clock} if dt is None else {"dt": dt}
    if spiking:
        maker = maker_of(group, event)
        if not _comes_after(maker, when, order):
            raise OptionError(f"spikes are there after the slot {maker.when!r}, and not at when={when!r}")
        if dt is not None and not _same(dt, group.clock):
            raise OptionError(f"spikes are recorded at the group's dt, {group.clock.dt}, and not at {dt}")
        # And not at an equal one of its own, which would stay behind when the group's changes.
        clock = {"clock": group.clock}
    prefix = "" if name is None else admit_name(NEURAL, name) + "."
    names = [variables] if isinstance(variables, str) else list(variables)
    readers = {variable: reader_of(group, variable) for variable in names}
    for variable in names:
        admit_key(NEURAL, prefix + variable)
    return RecordedGroup(
        target,
        group,
        name=name,
        readers={variable: (prefix + variable, read) for variable, read in readers.items()},
        events=events_of(group, space) if spiking else None,
        event=event,
        also=also,
        when=when,
        order=order,
        **clock,
    )


def _same(dt: Any, clock: Any) -> bool:
    """Whether this is the clock's step, as nearly as Brian2 tells them apart."""
    if not brian2.have_same_dimensions(dt, brian2.second):
        return False
    return bool(abs(float(dt) - clock.dt_) < clock.epsilon_dt * clock.dt_)


def _comes_after(maker: Any, when: str, order: int) -> bool:
    """Whether this slot comes after the one that makes spikes in the default schedule, if it has both."""
    places: dict[str, int] = {}
    for slot in brian2.prefs.core.network.default_schedule:
        for at in (f"before_{slot}", slot, f"after_{slot}"):
            places[at] = len(places)
    if when not in places or maker.when not in places:
        return True  # another schedule, which the run will look at
    return (places[when], order) > (places[maker.when], maker.order)
