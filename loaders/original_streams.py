"""Streams of the original system's episodes, from either of its exporters.

Its optimized exporter wrote spikes and rewards as ``sparse_rle``: one entry per run of calls with the
same timestep, and how many values the entry has. Its standard exporter wrote one timestep a value,
and named the columns of weight changes in the singular. Steps without spikes, and rewards of 0,
are in neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.events import Event
from recorder.errors import DamagedError
from recorder.format.clock import Clock
from recorder.format.layout import ENCODING, EVENTS, OWN_TIMESTEPS, REWARDS, SPIKES, TIMESTEPS
from recorder.h5.source import PlainRewards, SpikeSlice, StoredEpisode, check_once, weight_columns

_RLE = "sparse_rle"
_PLURAL = {
    "old_weight": "old_weights",
    "new_weight": "new_weights",
    "delta": "deltas",
    "synapse_id": "synapse_ids",
    "source_id": "source_ids",
    "target_id": "target_ids",
}


class OriginalSpikes:
    """Spikes by entry: a row is a run of calls with one timestep, and has at least one spike."""

    dtype = np.dtype(np.bool_)

    def __init__(self, stored: StoredEpisode, n_neurons: int | None) -> None:
        steps, counts, self._neurons = _entries(stored, SPIKES)
        self._ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        self._clock = Clock.of([steps])
        largest = int(self._neurons.max()) + 1 if len(self._neurons) else 1
        self.n_neurons = max(n_neurons or 1, largest)
        if len(self._neurons) and self._neurons.min() < 0:
            raise DamagedError(f"{stored.name}/{SPIKES}: a negative neuron")

    def clock(self) -> Clock:
        """Timesteps of the entries."""
        return self._clock

    def read(self, first: int, last: int) -> SpikeSlice:
        """Spikes of entries ``first`` to ``last``."""
        counts = np.diff(self._ends[first : last + 1])
        rows = np.repeat(np.arange(first, first + len(counts), dtype=np.int64), counts)
        neurons = self._neurons[self._ends[first] : self._ends[first + len(counts)]]
        return SpikeSlice(rows, neurons.astype(np.int64), None)


def original_spikes(stored: StoredEpisode, n_neurons: int | None) -> OriginalSpikes | None:
    """The episode's spikes; None without any."""
    return OriginalSpikes(stored, n_neurons) if stored.keys(SPIKES) else None


def original_rewards(stored: StoredEpisode) -> PlainRewards | None:
    """The episode's rewards in their stored dtype, zeros left out; None without any."""
    if not stored.keys(REWARDS):
        return None
    steps, counts, values = _entries(stored, REWARDS)
    return PlainRewards(Clock.of([np.repeat(steps, counts)]), values)


def original_weight_columns(stored: StoredEpisode) -> dict[str, NDArray[Any]]:
    """Columns of the weight changes under their plural names."""
    return {_PLURAL.get(name, name): column for name, column in weight_columns(stored).items()}


def original_events(stored: StoredEpisode) -> dict[str, dict[str, NDArray[Any]]]:
    """``{type: {column: array}}``, as stored; a type with a slash in its name stands in nested groups."""
    return {kind: _type_columns(stored, kind) for kind in _event_types(stored, EVENTS)}


def iter_original_events(stored: StoredEpisode) -> Iterator[Event]:
    """(timestep, type, data) by timestep; the order of calls within a timestep is not in the file."""
    events: list[Event] = []
    for kind in _event_types(stored, EVENTS):
        columns = _type_columns(stored, kind)
        rows: dict[tuple[int, int], dict[Any, Any]] = {}
        for key in _value_keys(columns):
            seen: dict[int, int] = {}
            steps = columns.get(f"{key}{OWN_TIMESTEPS}", columns.get(TIMESTEPS, ()))
            for step, value in zip((int(step) for step in steps), columns[key], strict=False):
                seen[step] = seen.get(step, 0) + 1
                plain = value.item() if isinstance(value, np.generic) else value
                rows.setdefault((step, seen[step]), {})[key] = plain
        events += [(step, kind, data) for (step, _), data in rows.items()]
    yield from sorted(events, key=lambda event: event[0])


def _entries(stored: StoredEpisode, group: str) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Timesteps and number of values of each entry, and all values."""
    steps = stored.read(f"{group}/{TIMESTEPS}").astype(np.int64, copy=False)
    values = stored.read(f"{group}/values")
    if stored.facts(group).get(ENCODING) == _RLE:
        counts = stored.read(f"{group}/counts").astype(np.int64, copy=False)
        if len(counts) != len(steps) or (counts < 0).any() or counts.sum() != len(values):
            raise DamagedError(f"{stored.name}/{group}: counts do not cut {len(values)} values")
        return steps, counts, values
    if len(steps) != len(values):
        raise DamagedError(f"{stored.name}/{group}: {len(values)} values for {len(steps)} timesteps")
    first = np.concatenate([np.ones(min(1, len(steps)), np.bool_), steps[1:] != steps[:-1]])
    starts = np.flatnonzero(first)
    return steps[starts], np.diff(starts, append=len(steps)).astype(np.int64), values


def _event_types(stored: StoredEpisode, path: str, depth: int = 0, seen: set[int] | None = None) -> list[str]:
    if depth > 32:
        raise DamagedError(f"{stored.name}/{EVENTS}: nested more than 32 levels")
    found = []
    seen = set() if seen is None else seen
    for name in stored.groups(path):
        below = f"{path}/{name}"
        check_once(stored.subgroup(path), name, seen)
        if stored.keys(below):
            found.append(below.removeprefix(f"{EVENTS}/"))
        found += _event_types(stored, below, depth + 1, seen)
    return found


def _type_columns(stored: StoredEpisode, kind: str) -> dict[str, NDArray[Any]]:
    return {key: stored.read(f"{EVENTS}/{kind}/{key}") for key in stored.keys(f"{EVENTS}/{kind}")}


def _value_keys(columns: dict[str, NDArray[Any]]) -> list[str]:
    clocks = {TIMESTEPS, *(f"{key}{OWN_TIMESTEPS}" for key in columns)}
    return [key for key in columns if key not in clocks]
