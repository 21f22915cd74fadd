"""What the dashboard shows of a window of timesteps of an episode, read within a budget and decimated.

Of 100,000 neurons, or of a hundred million steps, a browser gets as much as it has pixels. What is not read
whole is read in part, evenly, and says so.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.between import newest_events
from loaders.dashboard.decimate import Band, SpikeCounts, band, extremes
from loaders.dashboard.grid import SAMPLED_BINS, Grid
from loaders.episode import EpisodeData
from recorder.format.layout import EVENTS, NEURAL, OWN_TIMESTEPS, REWARDS, TIMESTEPS, WEIGHT_CHANGES

READ_BYTES = 32 << 20
"""Of each stream of dense data, at most, for one picture."""
READ_SPIKES = 2_000_000
READ_ROWS = 2_000_000
"""Of rewards and weight changes."""
POINTS = 20_000
"""Spikes that are drawn one by one; of more an image is made."""
GROUPS = 200
"""Rows of that image."""
LINES = 8
"""In one plot."""
MARKS, MARK_BYTES = 1_000, 1 << 20
"""Events in one plot, and what is read of them."""
PROBES = 5
"""Places at which it is looked how dense spikes are."""
PART_SPIKES = 250_000
"""That are read together."""
DRAWN = "biuf"
"""Kinds of dtypes whose values are lines."""


@dataclass(frozen=True, eq=False)
class Raster:
    """Spikes of the window: each of them, or (where ``image`` is not None) their density.

    Attributes
    ----------
    timesteps, neurons : int64 (spikes,)
    image : float32 (groups, bins) or None
        Share of a group's neurons that fire in a step; NaN where nothing was logged.
    rate : float64 (bins,)
        Of all neurons.
    """

    grid: Grid
    n_neurons: int
    timesteps: NDArray[np.int64]
    neurons: NDArray[np.int64]
    image: NDArray[np.float32] | None
    rate: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lines:
    """Traces ``values`` float64 ``(points, lines)`` over ``timesteps``; ``whole`` is that of the grid."""

    labels: tuple[str, ...] = ()
    timesteps: tuple[NDArray[np.float64], ...] = ()
    values: tuple[NDArray[np.float64], ...] = ()
    whole: bool = True
    not_finite: int = 0
    """Values among those that were read."""


@dataclass(frozen=True, eq=False)
class Bands:
    """A band by bin of ``grid``."""

    grid: Grid
    band: Band


@dataclass(frozen=True)
class Choice:
    """What is to be seen: a stream of neural state, of which neurons, and streams of behaviour."""

    stream: str | None = None
    neurons: tuple[int, ...] = (0,)
    behavior: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """A window of an episode; None for what it has not got."""

    window: tuple[int, int]
    raster: Raster | None = None
    traces: Lines = field(default_factory=Lines)
    behavior: Lines = field(default_factory=Lines)
    rewards: Bands | None = None
    weights: Bands | None = None
    events: list[tuple[int, str, str]] = field(default_factory=list)
    """Timestep, type and data of the last ones."""
    events_before: int = 0
    """How many of the window are not among them."""


def look(episode: EpisodeData, window: tuple[int, int], choice: Choice) -> Picture:
    """The picture of ``start <= timestep < stop``.

    Raises
    ------
    ReadError
        The recording is damaged.
    """
    start, stop = window
    rows = episode.row_counts(start, stop)
    traces = [choice.stream] if choice.stream in rows else []
    behavior = [name for name in choice.behavior if name in rows]
    events = list(newest_events(episode, start, stop, MARKS, MARK_BYTES))
    return Picture(
        window,
        _raster(episode, start, stop),
        _lines(episode, traces, rows, window, choice.neurons),
        _lines(episode, behavior, rows, window, None),
        _rewards(episode, _grid(window, rows.get(REWARDS, 0), READ_ROWS)),
        _weights(episode, _grid(window, rows.get(WEIGHT_CHANGES, 0), READ_ROWS)),
        [(step, kind, _text(data)) for step, kind, data in events],
        max(0, rows.get(EVENTS, 0) - len(events)),
    )


def _grid(window: tuple[int, int], rows: int, allowed: int, size: int = 1) -> Grid:
    """Of a stream with so many rows of a size in the window, nearly even ones; so much of it may be read."""
    start, stop = window
    steps = stop - start
    if rows * size <= allowed:
        return Grid.over(start, stop, steps)
    return Grid.over(start, stop, max(1, steps * allowed // (rows * size)), interval=-(-steps // rows))


def _raster(episode: EpisodeData, start: int, stop: int) -> Raster | None:
    n_neurons, span = episode.n_neurons, episode.span()
    if not n_neurons or span is None:
        return None
    low, high = max(start, span[0]), min(stop, span[1])
    # How dense it is, by looking at some places; where it was denser elsewhere, less of it is read.
    probe = max(1, min(200, (high - low) // 10))
    places = np.linspace(low, max(low, high - probe), PROBES).astype(np.int64).tolist()
    found = max(1, *(len(episode.get_spikes(at, at + probe)["timesteps"]) for at in places))
    allowed = min(stop - start, READ_SPIKES * probe // found)
    while (raster := _counted(episode, (start, stop), allowed, max(1, PART_SPIKES * probe // found))) is None:
        allowed //= 4
    return raster


def _counted(episode: EpisodeData, window: tuple[int, int], allowed: int, each: int) -> Raster | None:
    """Spikes of so many timesteps of a window, read in parts of ``each``; None where they are too many."""
    n_neurons = episode.n_neurons or 1
    grid = Grid.over(*window, allowed)
    counts = SpikeCounts(grid, n_neurons, GROUPS)
    drawn: list[tuple[NDArray[np.int64], NDArray[np.int64]]] | None = [] if grid.whole else None
    for start, stop in _parts(episode, grid, each):
        spikes = episode.get_spikes(start, stop)
        steps, neurons = spikes["timesteps"], spikes["neuron_ids"]
        counts.add(steps, neurons, _logged(episode, start, stop))
        if counts.spikes > 4 * READ_SPIKES and allowed > SAMPLED_BINS:
            return None
        if drawn is not None:
            # Copies: what is read together is decoded together, and would be kept with them.
            drawn = [*drawn, (steps.copy(), neurons.copy())] if counts.spikes <= POINTS else None
    dense = counts.image() if drawn is None else None
    none = np.empty(0, np.int64)
    steps, neurons = (
        np.concatenate([none, *column]) for column in zip(*(drawn or [(none, none)]), strict=True)
    )
    return Raster(grid, n_neurons, steps, neurons, dense, counts.rate())


def _parts(episode: EpisodeData, grid: Grid, each: int) -> Iterator[tuple[int, int]]:
    low, high = episode.span() or (0, 0)
    for start, stop in grid.spans:
        begin, end = max(start, low), min(stop, high)
        for part in range(begin, end, each):
            yield part, min(part + each, end)


def _logged(episode: EpisodeData, start: int, stop: int) -> NDArray[np.int64]:
    """Timesteps of the rows of the raster; the original system's files know those alone that have spikes."""
    if episode._recording.original:
        return np.arange(start, stop)
    return episode.spike_timesteps(start, stop)


def _lines(
    episode: EpisodeData,
    names: Sequence[str],
    rows: Mapping[str, int],
    window: tuple[int, int],
    neurons: Sequence[int] | None,
) -> Lines:
    labels: list[str] = []
    xs, ys = [], []
    whole, not_finite = True, 0
    for name in names:
        stream = episode.stream(name)
        shape = stream.shape[1:]
        wanted = [n for n in neurons if n < shape[0]] if neurons is not None and shape else None
        if stream.dtype.kind not in DRAWN or 0 in shape or wanted == [] or len(labels) == LINES:
            continue
        grid = _grid(window, rows[name], READ_BYTES, stream.dtype.itemsize * math.prod(shape))
        parts = [_read(episode, name, span, wanted) for span in grid.spans]
        steps, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        values = values.reshape(len(steps), math.prod(values.shape[1:]))[:, :LINES].astype(np.float64)
        not_finite += int(np.count_nonzero(~np.isfinite(values)))
        x, y = extremes(steps, values, grid)
        named = _labels(name, shape, wanted)[: LINES - len(labels)]
        labels += named
        xs += [x] * len(named)
        ys += list(y.T[: len(named)])
        whole = whole and grid.whole
    return Lines(tuple(labels), tuple(xs), tuple(ys), whole, not_finite)


def _read(
    episode: EpisodeData, name: str, span: tuple[int, int], neurons: list[int] | None
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    group, _, key = name.partition("/")
    if group == NEURAL:
        found = episode.get_neural_states(timesteps=span, keys=[key], neurons=neurons)
    else:
        found = episode.get_behavior(timesteps=span, keys=[key])
    steps, values = found.get(key + OWN_TIMESTEPS, found[TIMESTEPS]), found[key]
    # The original system lets a key fall behind its timesteps.
    rows = min(len(steps), len(values))
    return steps[:rows], values[:rows]


def _labels(name: str, shape: tuple[int, ...], neurons: Sequence[int] | None) -> list[str]:
    key = name.partition("/")[2]
    if not shape:
        return [key]
    first = range(min(shape[0], LINES)) if neurons is None else neurons
    places = islice(((n, *rest) for n in first for rest in np.ndindex(shape[1:])), LINES)
    return [f"{key}[{', '.join(map(str, place))}]" for place in places]


def _rewards(episode: EpisodeData, grid: Grid) -> Bands | None:
    parts = [episode.get_rewards(*span) for span in grid.spans]
    return _bands([(one["timesteps"], one["rewards"]) for one in parts if one], grid)


def _weights(episode: EpisodeData, grid: Grid) -> Bands | None:
    parts = [episode.get_weight_changes(*span) for span in grid.spans]
    return _bands([(one["timesteps"], one["new_weights"]) for one in parts if "new_weights" in one], grid)


def _bands(parts: Sequence[tuple[NDArray[np.int64], NDArray[Any]]], grid: Grid) -> Bands | None:
    if not parts:
        return None
    steps, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Bands(grid, band(steps, values.astype(np.float64), grid))


def _text(data: dict[Any, Any]) -> str:
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 2, 60, 60
    text = ", ".join(f"{short.repr(key)}: {short.repr(value)}" for key, value in islice(data.items(), 8))
    return text if len(text) <= 120 else text[:119] + "…"
