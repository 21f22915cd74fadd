"""What was logged between two looks at a running recording."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loaders.stream import stream_keys
from recorder.format.layout import BEHAVIOR, EVENTS, NEURAL, REWARDS, SPIKES, WEIGHT_CHANGES
from recorder.format.rounding import rounded
from recorder.h5.living import News, Piece, news_of
from recorder.h5.source import (
    StoredEpisode,
    event_rows,
    iter_events,
    stored_rewards,
    stored_spikes,
    weight_columns,
    weight_rows,
)


class Samples(NamedTuple):
    """Rows of a stream: ``timesteps`` int64 ``(rows,)`` and ``values`` ``(rows, ...)``."""

    timesteps: NDArray[np.int64]
    values: NDArray[Any]


MOST_ROWS, MOST_BYTES = 1 << 16, 1 << 24
"""Of a stream in an update that is read from the file: memory stays small however much was missed."""


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Update:
    """New rows of one episode; every array is a copy.

    Values are as they are stored: as they were logged, or rounded where a ``precision`` was asked for.

    Attributes
    ----------
    episode_id : int
    begins, ends : bool
        Whether the episode's beginning, and the end that was logged of it, lie in this update. The last
        episode of a program that was killed does not end.
    streams : dict of str to Samples
        ``neural_states/v``, ``behavior/x``, …: those that got rows.
    rewards : Samples or None
    spikes : dict
        ``timesteps`` and ``neuron_ids``, int64 ``(spikes,)`` in call order, of graded spikes ``values``;
        {} without any row.
    spike_timesteps : ndarray of int64 (rows,)
        Of all rows of the raster, silent ones included.
    spike_rows : ndarray of int64 (spikes,)
        The row of each spike: its place in ``spike_timesteps``.
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
    spike_rows: NDArray[np.int64] = field(default_factory=_none)
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


def logged(
    episode_id: int, pieces: Sequence[Piece], precision: Mapping[str, float], *, begins: bool, ends: bool
) -> Update:
    """Pieces of one episode's rows as an update, with the precision that they will be stored with."""
    news = [news_of(piece) for piece in pieces]
    streams = {}
    for name in dict.fromkeys(name for one in news for name in one.streams):
        steps, values = _joined([one.streams[name] for one in news if name in one.streams])
        streams[name] = Samples(steps, rounded(values, precision[name]) if name in precision else values)
    rewards = [one.rewards for one in news if one.rewards is not None]
    columns = [one.weights for one in news if one.weights]
    rows = np.concatenate([_none(), *(one.spike_timesteps for one in news)])
    before = np.cumsum([0, *(len(one.spike_timesteps) for one in news)])
    return Update(
        episode_id,
        begins,
        ends,
        streams,
        Samples(*_joined(rewards)) if rewards else None,
        _spikes(news) if len(rows) else {},
        rows,
        np.concatenate(
            [_none(), *(one.spike_rows + low for one, low in zip(news, before[:-1], strict=True))]
        ),
        next((one.n_neurons for one in news if one.n_neurons is not None), None),
        {name: np.concatenate([one[name] for one in columns]) for name in (columns[0] if columns else ())},
        [event for one in news for event in one.events],
    )


def stored(
    episode: StoredEpisode, episode_id: int, taken: Mapping[str, int], *, begins: bool, ended: bool
) -> Iterator[Update]:
    """Rows of an episode in a file beyond ``taken``, which grows meanwhile, in updates of bounded size."""
    rows = totals(episode)
    while True:
        ranges = {}
        for name, total in rows.items():
            first = taken.get(name, 0)
            if first < total:
                ranges[name] = first, min(total, first + _most(episode, name))
        if not ranges:
            break
        yield _read(episode, episode_id, ranges, begins=begins)
        begins = False
    if begins or ended:
        yield Update(episode_id, begins, ends=ended)


def totals(episode: StoredEpisode) -> dict[str, int]:
    """Rows of an episode by stream, named as in :meth:`Update.counts`."""
    rows = {
        f"{group}/{key}": episode.aligned_rows(f"{group}/{key}")
        for group in (NEURAL, BEHAVIOR)
        for key in stream_keys(episode, group)
    }
    spikes, rewards = stored_spikes(episode), stored_rewards(episode)
    rows[SPIKES] = 0 if spikes is None else len(spikes.clock())
    rows[REWARDS] = 0 if rewards is None else len(rewards.clock())
    rows[WEIGHT_CHANGES], rows[EVENTS] = weight_rows(episode), event_rows(episode)
    return {name: count for name, count in rows.items() if count}


def _most(episode: StoredEpisode, name: str) -> int:
    """Rows of a stream in one update."""
    if name == SPIKES:
        source = stored_spikes(episode)
        width = 1 if source is None else source.n_neurons
    elif name == EVENTS:
        width = max(8, episode.rows(f"{EVENTS}/data") // max(1, episode.rows(f"{EVENTS}/ends")))
    elif name in (REWARDS, WEIGHT_CHANGES):
        width = 8
    else:
        dataset = episode.need(name)
        width = dataset.dtype.itemsize * math.prod(dataset.shape[1:])
    return max(1, min(MOST_ROWS, MOST_BYTES // max(1, width)))


def _read(
    episode: StoredEpisode, episode_id: int, ranges: Mapping[str, tuple[int, int]], *, begins: bool
) -> Update:
    streams: dict[str, Samples] = {}
    found: dict[str, Any] = {}
    for name, (first, last) in ranges.items():
        if name == SPIKES:
            source = stored_spikes(episode)
            assert source is not None
            fired, steps = source.read(first, last), source.clock().values(slice(first, last))
            spike_rows = fired.rows - first
            spikes: dict[str, NDArray[Any]] = {"timesteps": steps[spike_rows]}
            spikes["neuron_ids"] = fired.neurons
            if fired.values is not None:
                spikes["values"] = fired.values
            found |= {"spikes": spikes, "spike_timesteps": steps, "spike_rows": spike_rows}
            found["n_neurons"] = source.n_neurons
        elif name == REWARDS:
            rewards = stored_rewards(episode)
            assert rewards is not None
            steps = rewards.clock().values(slice(first, last))
            found["rewards"] = Samples(steps, rewards.read(first, last))
        elif name == WEIGHT_CHANGES:
            found["weight_changes"] = weight_columns(episode, first, last)
        elif name == EVENTS:
            found["events"] = list(iter_events(episode, first, last))
        else:
            steps = episode.clock(episode.clock_path(name)).values(slice(first, last))
            streams[name] = Samples(steps, episode.read(name, first, last))
    return Update(episode_id, begins, streams=streams, **found)


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
