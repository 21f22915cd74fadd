"""What a user wants to be told before the night is over: plain callables on the stream of updates.

An alarm is called with every update and its :class:`~loaders.live.experiment.LiveExperiment`, and once with
None when the recording has ended; it returns what is wrong, one text or several, or None. What those here say
depends on the rows that were logged and not on how they are cut into updates. A function of one's own serves
as well::

    live.watch([no_spikes(1000), lambda update, live: "slow" if live.status().rate < 100 else None])
"""

from __future__ import annotations

import math
import operator
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loaders.live.means import MeansInARow
from loaders.live.update import Update
from recorder.errors import OptionError
from recorder.format.layout import RECOVERED, REWARDS
from recorder.h5.summary import KILLED

if TYPE_CHECKING:
    from loaders.live.experiment import LiveExperiment

Alarm = Callable[["Update | None", "LiveExperiment"], "str | Iterable[str] | None"]


def no_spikes(steps: int = 1000) -> Alarm:
    """Goes off when no neuron fired in so many logged rows in a row; again only after a spike.

    Raises
    ------
    OptionError
        ``steps`` is no whole number from 1 on.
    """
    steps = _rows(steps)
    silent = 0

    def alarm(update: Update | None, _: LiveExperiment) -> list[str]:
        nonlocal silent
        if update is None or not len(update.spike_timesteps):
            return []
        rows = update.spike_timesteps
        fired = np.unique(update.spike_rows)
        # Where each silence of this update begins, what it began with before, and where it ends.
        begins, ends = np.concatenate([[-silent], fired + 1]), np.concatenate([fired, [len(rows)]])
        told = silent >= steps
        silent = int(ends[-1] - begins[-1])
        late = begins + (steps - 1)
        late = late[(late < ends) & ~((np.arange(len(late)) == 0) & told)]
        return [
            f"no spikes for {steps:,} steps, at timestep {int(step):,} of episode {update.episode_id}"
            for step in rows[late]
        ]

    return alarm


def not_finite(*streams: str) -> Alarm:
    """Goes off at the first NaN or infinity in these streams; once a stream and episode.

    By default in any, ``rewards`` included.
    """
    told: set[tuple[int, str]] = set()

    def alarm(update: Update | None, _: LiveExperiment) -> list[str]:
        if update is None:
            return []
        found = []
        rewards = {} if update.rewards is None else {REWARDS: update.rewards}
        for name, samples in (update.streams | rewards).items():
            if (streams and name not in streams) or samples.values.dtype.kind not in "fc":
                continue
            bad = ~np.isfinite(samples.values).reshape(len(samples.values), -1).all(axis=1)
            if bad.any() and (update.episode_id, name) not in told:
                told.add((update.episode_id, name))
                found.append((int(samples.timesteps[bad][0]), name))
        return [
            f"{name} is not finite from timestep {step:,} of episode {update.episode_id} on"
            for step, name in sorted(found, key=lambda one: one[0])
        ]

    return alarm


def reward_below(level: float, steps: int = 1000) -> Alarm:
    """Goes off when the mean of so many rewards in a row falls below ``level``; again once it was above.

    Raises
    ------
    OptionError
        ``level`` is NaN, or ``steps`` no whole number from 1 on.
    """
    steps = _rows(steps)
    if math.isnan(level):
        raise OptionError("level must be a number, got nan")
    means, low = MeansInARow(steps), False

    def alarm(update: Update | None, _: LiveExperiment) -> list[str]:
        nonlocal low
        if update is None or update.rewards is None:
            return []
        found = means.after(update.rewards.values)
        rows = update.rewards.timesteps[len(update.rewards.timesteps) - len(found) :]
        below = np.concatenate([[low], found < level])
        low = bool(below[-1])
        falls = np.flatnonzero(below[1:] & ~below[:-1])
        return [
            f"the mean of {steps:,} rewards is {found[fall]:.4g}, below {level:g}, "
            f"at timestep {int(rows[fall]):,} of episode {update.episode_id}"
            for fall in falls
        ]

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
            wrong = alarm(update, live) or ()
            for text in [wrong] if isinstance(wrong, str) else wrong:
                count += 1
                tell(f"{time.strftime('%H:%M:%S')}  {live.h5_path.parent.name}: {text}")
                if command:
                    _run(command, text, live.h5_path)
    return count


def _run(command: str, text: str, path: Path) -> None:
    environment = {**os.environ, "FLIGHTREC_ALARM": text, "FLIGHTREC_RECORDING": str(path)}
    # In the background of a shell that ends at once: no child waits for its parent.
    subprocess.run(["sh", "-c", f"{{ {command}\n}} &"], env=environment, check=False, start_new_session=True)


def _rows(steps: Any) -> int:
    try:
        found = 0 if isinstance(steps, bool) else operator.index(steps)
    except TypeError:
        found = 0
    if found < 1:
        raise OptionError(f"steps must be a whole number from 1 on, got {steps!r}")
    return found
