"""What was logged between two looks at a running recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loaders.stream import stream_keys
from recorder.format.layout import BEHAVIOR, EVENTS, NEURAL, REWARDS, SPIKES, WEIGHT_CHANGES
from recorder.h5.living import News, Piece, news_of
from recorder.h5.source import (
    StoredEpisode,
    iter_events,
    stored_rewards,
    stored_spikes,
    weight_columns,
)


class Samples(NamedTuple):
    """Rows of a stream: ``timesteps`` int64 ``(rows,)`` and ``values`` ``(rows, ...)``."""

    timesteps: NDArray[np.int64]
    values: NDArray[Any]


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Update:
    """New rows of one episode, as they were logged; every array is a copy.

    Attributes
    ----------
    episode_id : int
    begins, ends : bool
        Whether the episode's first call, and its end, lie in this update.
    streams : dict of str to Samples
        ``neural_states/v``, ``behavior/x``, …: those that got rows.
    rewards : Samples or None
    spikes : dict
        ``timesteps`` and ``neuron_ids``, int64 ``(spikes,)`` in call order, of graded spikes ``values``;
        {} without any row.
    spike_timesteps : ndarray of int64 (rows,)
        Of all rows of the raster, silent ones included.
    n_neurons : int or None
        Width of the raster.
    weight_changes : dict of str to ndarray (changes,)
        In call order.
    events : list of (timestep, type, data)
    """

    episode_id: int
    begins: bool = False
    ends: bool = False
    streams: dict[str, Samples] = field(default_factory=dict)
    rewards: Samples | None = None
    spikes: dict[str, NDArray[Any]] = field(default_factory=dict)
    spike_timesteps: NDArray[np.int64] = field(default_factory=_none)
    n_neurons: int | None = None
    weight_changes: dict[str, NDArray[Any]] = field(default_factory=dict)
    events: list[tuple[int, str, dict[Any, Any]]] = field(default_factory=list)

    @property
    def last_timestep(self) -> int | None:
        """The timestep of the row that was logged last, as far as rows tell; None without any."""
        arrays = [samples.timesteps for samples in self.streams.values()]
        arrays += [self.spike_timesteps, *([] if self.rewards is None else [self.rewards.timesteps])]
        last = [int(steps[-1]) for steps in arrays if len(steps)]
        last += [self.events[-1][0]] if self.events else []
        return max(last, default=None)

    def __bool__(self) -> bool:
        """Whether it holds anything."""
        return bool(self.begins or self.ends or any(self.counts().values()))

    def counts(self) -> dict[str, int]:
        """Rows by stream: ``neural_states/v``, ``spikes``, ``rewards``, ``weight_changes``, ``events``."""
        counts = {name: len(samples.timesteps) for name, samples in self.streams.items()}
        counts[SPIKES] = len(self.spike_timesteps)
        counts[REWARDS] = 0 if self.rewards is None else len(self.rewards.timesteps)
        counts[WEIGHT_CHANGES] = max(map(len, self.weight_changes.values()), default=0)
        counts[EVENTS] = len(self.events)
        return {name: count for name, count in counts.items() if count}


def logged(episode_id: int, pieces: Sequence[Piece], *, begins: bool, ends: bool) -> Update:
    """Pieces of one episode's rows as an update."""
    news = [news_of(piece) for piece in pieces]
    names = dict.fromkeys(name for one in news for name in one.streams)
    streams = {
        name: Samples(*_joined([one.streams[name] for one in news if name in one.streams])) for name in names
    }
    rewards = [one.rewards for one in news if one.rewards is not None]
    columns = [one.weights for one in news if one.weights]
    rows = np.concatenate([_none(), *(one.spike_timesteps for one in news)])
    return Update(
        episode_id,
        begins,
        ends,
        streams,
        Samples(*_joined(rewards)) if rewards else None,
        _spikes(news) if len(rows) else {},
        rows,
        next((one.n_neurons for one in news if one.n_neurons is not None), None),
        {name: np.concatenate([one[name] for one in columns]) for name in (columns[0] if columns else ())},
        [event for one in news for event in one.events],
    )


def stored(
    episode: StoredEpisode, episode_id: int, taken: dict[str, int], most: int, *, begins: bool, ended: bool
) -> Iterator[Update]:
    """Rows of an episode in a file beyond ``taken``, in updates of at most ``most`` rows a stream."""
    while True:
        update = _next(episode, episode_id, taken, most, begins)
        counts = update.counts()
        if ended and not counts:
            yield Update(episode_id, begins, ends=True)
        elif counts or begins:
            yield update
        if not counts:
            return
        begins = False


def _next(episode: StoredEpisode, episode_id: int, taken: dict[str, int], most: int, begins: bool) -> Update:
    streams = {}
    for group in (NEURAL, BEHAVIOR):
        for name in stream_keys(episode, group):
            path = f"{group}/{name}"
            first, last = _range(path, taken, episode.aligned_rows(path), most)
            if last > first:
                steps = episode.clock(episode.clock_path(path)).values(slice(first, last))
                streams[path] = Samples(steps, episode.read(path, first, last))
    update: dict[str, Any] = {"streams": streams}
    source = stored_spikes(episode)
    if source is not None:
        clock = source.clock()
        first, last = _range(SPIKES, taken, len(clock), most)
        if last > first:
            found, steps = source.read(first, last), clock.values(slice(first, last))
            update["spikes"] = {"timesteps": steps[found.rows - first], "neuron_ids": found.neurons}
            if found.values is not None:
                update["spikes"]["values"] = found.values
            update |= {"spike_timesteps": steps, "n_neurons": source.n_neurons}
    rewards = stored_rewards(episode)
    if rewards is not None:
        clock = rewards.clock()
        first, last = _range(REWARDS, taken, len(clock), most)
        if last > first:
            update["rewards"] = Samples(clock.values(slice(first, last)), rewards.read(first, last))
    columns = weight_columns(episode)
    first, last = _range(WEIGHT_CHANGES, taken, max(map(len, columns.values()), default=0), most)
    if last > first:
        update["weight_changes"] = {name: column[first:last] for name, column in columns.items()}
    first = taken.get(EVENTS, 0)
    update["events"] = list(islice(iter_events(episode), first, first + most))
    return Update(episode_id, begins, **update)


def _range(name: str, taken: dict[str, int], rows: int, most: int) -> tuple[int, int]:
    first = taken.get(name, 0)
    return first, min(rows, first + most)


def _joined(parts: Sequence[tuple[NDArray[np.int64], NDArray[Any]]]) -> Iterator[NDArray[Any]]:
    return (np.concatenate(column) for column in zip(*parts, strict=True))


def _spikes(news: Sequence[News]) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {
        "timesteps": np.concatenate([one.spike_timesteps[one.spike_rows] for one in news]),
        "neuron_ids": np.concatenate([one.neurons for one in news]),
    }
    graded = [one.graded for one in news if one.graded is not None]
    if graded:
        found["values"] = np.concatenate(graded)
    return found
