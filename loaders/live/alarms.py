"""What a user wants to be told before the night is over: plain callables on the stream of updates.

An alarm is called with every update and its :class:`~loaders.live.experiment.LiveExperiment`, and once with
None when the recording has ended; it returns what is wrong, or None. A function of one's own serves as well::

    live.watch([no_spikes(1000), lambda update, live: "slow" if live.status().rate < 100 else None])
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from loaders.live.update import Update
from recorder.format.layout import RECOVERED
from recorder.h5.summary import KILLED

if TYPE_CHECKING:
    from loaders.live.experiment import LiveExperiment

Alarm = Callable[["Update | None", "LiveExperiment"], "str | None"]


def no_spikes(steps: int = 1000) -> Alarm:
    """Goes off when no neuron fired in so many logged rows in a row; again only after a spike."""
    silent, told = 0, False

    def alarm(update: Update | None, _: LiveExperiment) -> str | None:
        nonlocal silent, told
        if update is None or not len(update.spike_timesteps):
            return None
        rows, fired = update.spike_timesteps, update.spikes["timesteps"]
        if len(fired):
            silent, told = int((rows > fired.max()).sum()), False
        else:
            silent += len(rows)
        if silent < steps or told:
            return None
        told = True
        return f"no spikes for {silent:,} steps, at timestep {int(rows[-1]):,} of episode {update.episode_id}"

    return alarm


def not_finite(*streams: str) -> Alarm:
    """Goes off at the first NaN or infinity in these streams (default: in any); once a stream and episode."""
    told: set[tuple[int, str]] = set()

    def alarm(update: Update | None, _: LiveExperiment) -> str | None:
        found = []
        for name, samples in ({} if update is None else update.streams).items():
            if (streams and name not in streams) or samples.values.dtype.kind not in "fc":
                continue
            assert update is not None
            bad = ~np.isfinite(samples.values).reshape(len(samples.values), -1).all(axis=1)
            if bad.any() and (update.episode_id, name) not in told:
                told.add((update.episode_id, name))
                step = int(samples.timesteps[bad][0])
                found.append(f"{name} is not finite from timestep {step:,} of episode {update.episode_id} on")
        return "; ".join(found) or None

    return alarm


def reward_below(level: float, steps: int = 1000) -> Alarm:
    """Goes off when the mean of so many rewards in a row falls below ``level``; again once it was above."""
    recent, low = np.empty(0), False

    def alarm(update: Update | None, _: LiveExperiment) -> str | None:
        nonlocal recent, low
        if update is None or update.rewards is None:
            return None
        values = np.concatenate([recent, update.rewards.values])
        recent = values[len(values) - min(len(values), steps - 1) :]
        if len(values) < steps:
            return None
        sums = np.cumsum(np.concatenate([[0.0], values]))
        means = (sums[steps:] - sums[:-steps]) / steps
        below = np.concatenate([[low], means < level])
        falls = np.flatnonzero(below[1:] & ~below[:-1])
        low = bool(below[-1])
        if not len(falls):
            return None
        return f"the mean of {steps:,} rewards is {means[falls[-1]]:.4g}, below {level:g}"

    return alarm


def writer_dead() -> Alarm:
    """Goes off when the program that records is gone without having closed its recording."""

    def alarm(update: Update | None, live: LiveExperiment) -> str | None:
        if update is not None or live.running:
            return None
        status = live.status()
        # Whoever has read its data meanwhile has repaired it.
        if status.state not in (KILLED, RECOVERED):
            return None
        return f"the program that recorded is gone since {status.since}"

    return alarm


def sound(
    updates: Iterable[Update],
    live: LiveExperiment,
    alarms: Iterable[Alarm],
    *,
    command: str | None = None,
    tell: Callable[[str], None] = print,
) -> int:
    """Evaluate alarms on updates until these end; tell of each that goes off, and run ``command``.

    The command is a shell's. Its environment says what is wrong in ``FLIGHTREC_ALARM`` and where in
    ``FLIGHTREC_RECORDING``; nobody waits for it to end.

    Returns
    -------
    int
        How often an alarm went off.
    """
    count = 0
    alarms = list(alarms)
    for update in chain(updates, [None]):
        for alarm in alarms:
            text = alarm(update, live)
            if text:
                count += 1
                tell(f"{time.strftime('%H:%M:%S')}  {live.h5_path.parent.name}: {text}")
                if command:
                    _run(command, text, live.h5_path)
    return count


def _run(command: str, text: str, path: Path) -> None:
    environment = {**os.environ, "FLIGHTREC_ALARM": text, "FLIGHTREC_RECORDING": str(path)}
    # In the background of a shell that ends at once: no child waits for its parent.
    subprocess.run(["sh", "-c", f"{{ {command}\n}} &"], env=environment, check=False, start_new_session=True)
