"""Nengo's probes, written to a recording while the simulation runs, and not kept in memory until its end.

Nothing is imported here: the simulator is the user's, the reference one or another that has ``run_steps``
and ``data``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np

from recorder.admission import admit_key, as_index
from recorder.errors import OptionError, StateError
from recorder.format.layout import BEHAVIOR, NEURAL, REWARDS, SPIKES
from recorder.integrations.target import Target, claim, require_free, require_target

_Streams = list[tuple[str, str, Any]]
"""``log()``'s arguments, their keys, and the probes that they take."""
_RECORDED: WeakKeyDictionary[Any, tuple[ReferenceType[Any], int]] = WeakKeyDictionary()
"""By simulator: the episode that it was last recorded in, and to which step."""
_GROUPS = {"neural_state": NEURAL, "behavior": BEHAVIOR, "spikes": SPIKES, "reward": REWARDS}


def run_recorded(
    simulator: Any,
    target: Target,
    steps: int,
    *,
    neural_state: Mapping[str, Any] | None = None,
    spikes: Any = None,
    behavior: Mapping[str, Any] | None = None,
    reward: Any = None,
    chunk: int = 100,
    keep: bool = False,
) -> None:
    """Run a simulator and log what its probes sample, in the place of ``simulator.run_steps(steps)``.

    Values are those that ``simulator.data[probe]`` would have. A timestep is the number of steps since the
    simulator's reset, so that time is ``timestep * dt`` as in ``trange()``; the metadata ``nengo`` have
    ``dt``.

    Parameters
    ----------
    simulator : nengo.Simulator
    target : DataExporter or Triggered
        Its episode is active. A ``neural_sampling_rate`` keeps fewer rows of ``neural_state``.
    steps : int
    neural_state, behavior : mapping of str to nengo.Probe, optional
        Rows have the probe's shape. A probe with ``sample_every`` has the timesteps at which it samples.
    spikes : nengo.Probe, optional
        Of an ensemble's neurons; spikes keep Nengo's value, ``amplitude / dt``.
    reward : nengo.Probe, optional
        Of one dimension.
    chunk : int
        Steps from one look at the probes to the next: what a killed process may lose.
    keep : bool
        Leave the simulator the samples that are recorded. By default it lets them go after each chunk, so
        that memory is constant; those of other probes, and those from before the call, stay in any case.

    Raises
    ------
    OptionError
        A target that nothing can be logged into, something that is no probe of this simulator,
        has too many dimensions, or numbers that are none; a
        simulator that can only clear all its probes, where others would lose samples: pass ``keep=True``.
    InvalidNameError
        A stream's name that HDF5 cannot hold or that the layout keeps for itself.
    InputError
        A stream that another simulator or integration records in this episode; or as of ``log()``.
    StateError
        The simulator was reset since it was recorded in this episode, which has one time.
    NoEpisodeError, ClosedError
        All errors so far come before a step is taken.
    InputError, WriteError
        As of ``log()``; the simulator has gone as far as the chunk's end.
    """
    require_target(target, "run_recorded")
    for name, value in (("steps", steps), ("chunk", chunk)):
        count = as_index(value)
        if count is None or count < 1:
            raise OptionError(f"{name} must be an int of at least 1, got {value!r}")
    streams = _streams(neural_state=neural_state, behavior=behavior, spikes=spikes, reward=reward)
    _require_probes(simulator, streams)
    probes = [probe for *_, probe in streams]
    kind = type(simulator)
    names = ["/".join(filter(None, (_GROUPS[argument], key))) for argument, key, _ in streams]
    who = f"run_recorded of {getattr(simulator.model, 'label', None) or kind.__qualname__}"
    require_free(target, simulator, names, who)
    if not keep:
        _require_forgetting(simulator, probes)
    if target.current_episode is None:
        target.log(simulator.n_steps)  # says which error it is
    before, last = _RECORDED.get(simulator, (None, 0))
    if before is not None and before() is target.current_episode and simulator.n_steps < last:
        raise StateError(
            f"the simulator is back at step {simulator.n_steps}, and this episode has its rows to step "
            f"{last}: start another episode"
        )
    about = {"dt": float(simulator.dt), "simulator": f"{kind.__module__}.{kind.__qualname__}"}
    target.save_metadata({"nengo": about})
    done = 0
    while done < steps:
        count = min(chunk, steps - done)
        first, seen = simulator.n_steps + 1, [_count(simulator, probe) for probe in probes]
        try:
            simulator.run_steps(count, progress_bar=False)
        finally:
            # Also when a step failed: those before it are there.
            rows = [_samples(simulator, probe)[n:] for probe, n in zip(probes, seen, strict=True)]
            _log(target, first, simulator, streams, rows)
            episode = target.current_episode
            if episode is not None and simulator.n_steps >= first:
                claim(target, simulator, names, who)
                _RECORDED[simulator] = ref(episode), simulator.n_steps
        done += count
        if not keep:
            _forget(simulator, dict(zip(probes, seen, strict=True)))


def _streams(**given: Any) -> _Streams:
    out: _Streams = []
    for argument, value in given.items():
        if value is None:
            continue
        if argument in ("spikes", "reward"):
            out.append((argument, "", value))
        elif isinstance(value, Mapping):
            out += [(argument, admit_key(_GROUPS[argument], key), probe) for key, probe in value.items()]
        else:
            raise OptionError(f"{argument} must be a mapping of names to probes, got {type(value).__name__}")
    return out


def _require_probes(simulator: Any, streams: _Streams) -> None:
    strange = [probe for *_, probe in streams if probe not in simulator.model.probes]
    if strange or not streams:
        raise OptionError(f"expected probes of this simulator, got {strange or 'none'}")
    for argument, _, probe in streams:
        signal = getattr(simulator.model, "sig", {}).get(probe, {}).get("in")
        shape = None if signal is None else tuple(signal.shape)
        if shape is None:
            continue  # a simulator that does not say
        if (argument == "reward" and shape not in ((), (1,))) or (argument == "spikes" and len(shape) != 1):
            wanted = "one number" if argument == "reward" else "a number for each neuron"
            raise OptionError(f"{argument} takes a probe of {wanted}, and {probe} has the shape {shape}")


def _samples(simulator: Any, probe: Any) -> Any:
    """What the probe has sampled, by rows: without an array of all of it, where there is a list."""
    listed = _listed(simulator, probe)
    return simulator.data[probe] if listed is None else listed


def _count(simulator: Any, probe: Any) -> int:
    return len(_samples(simulator, probe))


def _listed(simulator: Any, probe: Any) -> list[Any] | None:
    """The simulator's own list of samples; some have none."""
    raw = getattr(simulator.data, "raw", None)
    found = raw.get(probe) if isinstance(raw, dict) else None
    return found if isinstance(found, list) else None


def _require_forgetting(simulator: Any, probes: list[Any]) -> None:
    """That samples can be let go of and no others with them."""
    if all(_listed(simulator, probe) is not None for probe in probes):
        return
    others = [probe for probe in simulator.model.probes if probe not in probes]
    if others or any(_count(simulator, probe) for probe in probes):
        raise OptionError(
            f"{type(simulator).__name__} can only clear all its probes, and {others or probes} would lose "
            "samples that are not recorded: pass keep=True"
        )


def _forget(simulator: Any, seen: dict[Any, int]) -> None:
    """Let go of the samples after so many of each probe."""
    lists = {probe: _listed(simulator, probe) for probe in seen}
    if any(listed is None for listed in lists.values()):
        simulator.clear_probes()
        return
    for probe, listed in lists.items():
        if listed is not None:
            del listed[seen[probe] :]
    simulator.data.reset()  # arrays that it made of them


def _log(target: Target, first: int, simulator: Any, streams: _Streams, rows: list[Any]) -> None:
    at = [0] * len(rows)
    for step in range(first, simulator.n_steps + 1):
        row: dict[str, Any] = {}
        for index, (argument, key, probe) in enumerate(streams):
            # The simulator's own rule, for periods that are no whole number of steps too.
            every = 1 if probe.sample_every is None else probe.sample_every / simulator.dt
            if step % every >= 1 or at[index] == len(rows[index]):
                continue
            value = np.asarray(rows[index][at[index]])
            at[index] += 1
            if key:
                row.setdefault(argument, {})[key] = value
            else:
                row[argument] = value[0] if argument == "reward" and value.shape == (1,) else value
        if row:
            target.log(step, **row)
