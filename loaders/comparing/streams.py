"""Rows of an episode's streams by number, in the order of the calls that logged them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from loaders.between import events_between
from loaders.episode import EpisodeData
from loaders.events import Event
from loaders.original_streams import original_weight_columns
from loaders.stream import stream_clock
from recorder.format.clock import Clock
from recorder.format.layout import EVENTS, REWARDS, SPIKES, TIMESTEPS, WEIGHT_CHANGES
from recorder.h5.source import (
    SpikeRows,
    StoredEpisode,
    event_clock,
    event_rows,
    iter_events,
    weight_clock,
    weight_columns,
    weight_rows,
)

T = TypeVar("T")
Columns = dict[str, NDArray[Any]]
SPIKE_ROWS = "spike rows"
ROWS = 20_000
"""Rows of a stream that are compared at a time, unless they are wide."""
_BYTES = 32 << 20
_KEPT = 4 << 20
_CELLS = 4 << 20
_EVENT_BYTES = 2 << 20
"""Of documents, whose values take some ten times as much."""


@dataclass(frozen=True, slots=True)
class Source:
    """One stream as it is stored at present."""

    count: int
    clock: Clock
    read: Callable[[int, int], Columns]
    """The columns of rows ``first`` to ``last``, by name."""
    step: int = 0
    """Rows that are worth to be read at a time; 0 where they are narrow."""


_NONE = Source(0, Clock(), lambda *_: {})


class Rows:
    """The rows that a stream has when this is made; of a recording that is written there may be more later.

    Attributes
    ----------
    count, step : int
        How many there are, and how many of them to read at a time.
    ascending : bool
        Whether no timestep is before the one of the row before.
    """

    def __init__(self, episode: EpisodeData, name: str) -> None:
        self._episode, self._name = episode, name
        self._kept: tuple[StoredEpisode, Source] | None = None
        self.count, self.step, self.ascending = self._ask(
            lambda of: (of.count, of.step or ROWS, of.clock.ascending)
        )

    def span(self) -> tuple[int, int]:
        """``(start, stop)`` of the timesteps; ``(0, 0)`` of none."""
        return self._ask(lambda source: source.clock.span())

    def until(self, timestep: int) -> int:
        """Of ascending rows, how many are before a timestep."""

        def before(source: Source) -> int:
            rows = source.clock.rows(None, timestep)
            if not isinstance(rows, slice):  # what came since then is not ascending
                return int(np.searchsorted(source.clock.values(slice(0, self.count)), timestep))
            return min(self.count, int(rows.stop))

        return self._ask(before)

    def read(self, first: int, last: int) -> Columns:
        """Some of them; each column a fresh array ``(rows, ...)``, that of spikes ``(spikes, ...)``."""
        return self._ask(lambda source: source.read(first, last))

    def _ask(self, question: Callable[[Source], T]) -> T:
        return self._episode._recording.steady(lambda: question(self._source()))

    def _source(self) -> Source:
        stored = self._episode._stored()
        if self._kept is None or self._kept[0] is not stored or stored.running:
            table = TABLES.get(self._name)
            self._kept = stored, table(self._episode) if table else _dense(stored, self._name)
        return self._kept[1]


def _dense(stored: StoredEpisode, name: str) -> Source:
    dataset = stored.dataset(name)
    if dataset is None:
        return _NONE
    clock = stream_clock(stored, name)
    # The original system let a key fall behind its timesteps, or run ahead of them.
    count = stored.rows(name) if stored.original else len(clock)
    width = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    key = name.partition("/")[2]

    def read(first: int, last: int) -> Columns:
        return {TIMESTEPS: clock.values(slice(first, last)), key: stored.read(name, first, last)}

    chunk = dataset.chunks[0] if dataset.chunks else 1
    # Large chunks are not kept between two reads.
    return Source(count, clock, read, _step(width, _BYTES, chunk if chunk * width > _KEPT else 1))


def _step(width: int, most: int, least: int) -> int:
    """Rows that take no more than so much, but the least that can be read without reading it again."""
    return max(1, least, min(ROWS, most // max(1, width)))


def _spikes(episode: EpisodeData) -> Source:
    source = episode._spikes()
    if source is None:
        return _NONE
    clock = source.clock()

    def read(first: int, last: int) -> Columns:
        return _spike_columns(source, clock, first, last)

    anchors = getattr(source, "anchor_rows", 0) or 1
    return Source(len(clock), clock, read, _step(source.n_neurons, _CELLS, anchors))


def _spike_columns(source: SpikeRows, clock: Clock, first: int, last: int) -> Columns:
    found = source.read(first, last)
    steps = clock.values(slice(first, last))
    rows = found.rows - first
    columns = {TIMESTEPS: steps[rows], "neuron_ids": found.neurons}
    if not (steps[1:] > steps[:-1]).all():
        # Which of the rows with one timestep it was is not said by that.
        columns["row"] = rows
    if found.values is not None:
        columns["values"] = found.values
    return columns


def _spike_rows(episode: EpisodeData) -> Source:
    """Silent rows count: at which timesteps there was one is part of what was logged."""
    source = episode._spikes()
    clock = Clock() if source is None else source.clock()
    return Source(len(clock), clock, lambda first, last: {TIMESTEPS: clock.values(slice(first, last))})


def _rewards(episode: EpisodeData) -> Source:
    source = episode._rewards()
    if source is None:
        return _NONE
    clock = source.clock()

    def read(first: int, last: int) -> Columns:
        return {TIMESTEPS: clock.values(slice(first, last)), "rewards": source.read(first, last)}

    return Source(len(clock), clock, read)


def _weight_changes(episode: EpisodeData) -> Source:
    stored = episode._stored()
    if not stored.original:
        return Source(weight_rows(stored), weight_clock(stored), lambda a, b: weight_columns(stored, a, b))
    columns = original_weight_columns(stored)
    clock = Clock.of([columns.get(TIMESTEPS, np.empty(0, np.int64))])
    count = max(map(len, columns.values()), default=0)
    return Source(count, clock, lambda a, b: {name: column[a:b] for name, column in columns.items()})


def _events(episode: EpisodeData) -> Source:
    stored = episode._stored()
    if stored.original:
        whole = _event_columns(events_between(stored, None, None))
        clock = Clock.of([whole[TIMESTEPS]])
        return Source(len(clock), clock, lambda a, b: {name: column[a:b] for name, column in whole.items()})
    count = event_rows(stored)
    size = stored.rows(f"{EVENTS}/data") if count else 0
    return Source(
        count,
        event_clock(stored),
        lambda first, last: _event_columns(iter_events(stored, first, last)),
        _step(size // max(1, count), _EVENT_BYTES, 1),
    )


def _event_columns(events: Iterable[Event]) -> Columns:
    found = list(events)
    cells = np.empty(len(found), object)
    cells[:] = [(kind, data) for _, kind, data in found]
    return {TIMESTEPS: np.array([step for step, _, _ in found], np.int64), "events": cells}


TABLES: dict[str, Callable[[EpisodeData], Source]] = {
    SPIKES: _spikes,
    SPIKE_ROWS: _spike_rows,
    REWARDS: _rewards,
    WEIGHT_CHANGES: _weight_changes,
    EVENTS: _events,
}
"""Streams that are no dense ones, by their names."""
