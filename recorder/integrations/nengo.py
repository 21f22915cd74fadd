"""Nengo's probes, written to a recording while the simulation runs, and not kept in memory until its end.

Nothing is imported here: the simulator is the user's, the reference one or another that has ``run_steps``
and ``data``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recorder.admission import as_index
from recorder.errors import OptionError
from recorder.integrations.target import Target


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

    Values are those of ``simulator.data[probe]``. A timestep is the number of steps since the simulator's
    reset, so that time is ``timestep * dt`` as in ``trange()``; the metadata ``nengo`` have ``dt``.

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
        Leave the simulator its samples. By default the probes are cleared after each chunk, all of them, and
        memory is constant.

    Raises
    ------
    OptionError
        Something that is no probe of this simulator, or numbers that are none; no step was taken.
    InputError, NoEpisodeError, WriteError
        As of ``log()``; the simulator has gone as far as the chunk's end.
    """
    for name, value in (("steps", steps), ("chunk", chunk)):
        count = as_index(value)
        if count is None or count < 1:
            raise OptionError(f"{name} must be an int of at least 1, got {value!r}")
    streams = [("neural_state", key, probe) for key, probe in (neural_state or {}).items()]
    streams += [("behavior", key, probe) for key, probe in (behavior or {}).items()]
    streams += [
        (name, "", probe) for name, probe in (("spikes", spikes), ("reward", reward)) if probe is not None
    ]
    probes = [probe for *_, probe in streams]
    strange = [probe for probe in probes if probe not in simulator.model.probes]
    if strange or not probes:
        raise OptionError(f"expected probes of this simulator, got {strange or 'none'}")
    kind = type(simulator)
    about = {"dt": float(simulator.dt), "simulator": f"{kind.__module__}.{kind.__qualname__}"}
    target.save_metadata({"nengo": about})
    done = 0
    while done < steps:
        count = min(chunk, steps - done)
        first, seen = simulator.n_steps + 1, [len(simulator.data[probe]) for probe in probes]
        try:
            simulator.run_steps(count, progress_bar=False)
        finally:
            # Also when a step failed: those before it are there.
            rows = [simulator.data[probe][n:] for probe, n in zip(probes, seen, strict=True)]
            _log(target, first, simulator, streams, rows)
        done += count
        if not keep:
            simulator.clear_probes()


def _log(
    target: Target, first: int, simulator: Any, streams: list[tuple[str, str, Any]], rows: list[Any]
) -> None:
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
