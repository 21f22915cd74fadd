"""A running recording in a few figures: what ``flightrec watch`` shows."""

from __future__ import annotations

import numpy as np

from loaders.live.course import Course
from loaders.live.update import Update


class Glance:
    """Adds updates up; memory is constant.

    Attributes
    ----------
    reward : Course
        Of all rewards that were seen.
    firing : Course
        Of the share of neurons that fire in a step.
    last_return : float or None
        Sum of the rewards of the last episode that ended, if it was seen from its beginning.
    last_event : (timestep, type) or None
    timestep : int or None
        The last one.
    """

    def __init__(self, bins: int = 60) -> None:
        self.reward, self.firing = Course(bins), Course(bins)
        self.last_return: float | None = None
        self.last_event: tuple[int, str] | None = None
        self.timestep: int | None = None
        self._return: float | None = None

    def add(self, update: Update) -> None:
        """Take what is new."""
        if update.begins:
            self._return = 0.0
        last = update.last_timestep
        self.timestep = self.timestep if last is None else last
        if update.rewards is not None:
            values = update.rewards.values
            self.reward.add(values)
            if self._return is not None:
                self._return += float(values.sum())
        if update.n_neurons and len(update.spike_timesteps):
            self.firing.add(_shares(update))
        if update.events:
            self.last_event = update.events[-1][:2]
        if update.ends:
            self.last_return, self._return = self._return, None


def _shares(update: Update) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The share of neurons that fired, for every row; rows of one timestep share theirs."""
    steps, rows = np.unique(update.spike_timesteps, return_counts=True)
    fired = np.bincount(np.searchsorted(steps, update.spikes["timesteps"]), minlength=len(steps))
    assert update.n_neurons is not None
    return np.repeat(fired / rows / update.n_neurons, rows)
