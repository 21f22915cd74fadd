"""What the dashboard shows of a window of timesteps of an episode, read within a budget and decimated.

Of 100,000 neurons, or of a hundred million steps, a browser gets as much as it has pixels. What is not read
whole is read in part, evenly, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.dashboard.decimate import Band, band, extremes, firing, image
from loaders.dashboard.grid import Grid
from loaders.episode import EpisodeData
from recorder.format.layout import NEURAL, OWN_TIMESTEPS, REWARDS, TIMESTEPS, WEIGHT_CHANGES

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
MARKS = 2_000
"""Events in one plot."""


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
    events = episode.iter_events(start, stop, last=MARKS)
    return Picture(
        window,
        _raster(episode, start, stop),
        _lines(episode, traces, rows, window, choice.neurons),
        _lines(episode, behavior, rows, window, None),
        _rewards(episode, _grid(window, rows.get(REWARDS, 0), READ_ROWS)),
        _weights(episode, _grid(window, rows.get(WEIGHT_CHANGES, 0), READ_ROWS)),
        [(step, kind, _text(data)) for step, kind, data in events],
    )


def _grid(window: tuple[int, int], rows: int, allowed: int) -> Grid:
    """Of a stream with so many rows in the window, nearly even ones, of which so many may be read."""
    start, stop = window
    return Grid.over(start, stop, stop - start if rows <= allowed else (stop - start) * allowed // rows)


def _raster(episode: EpisodeData, start: int, stop: int) -> Raster | None:
    n_neurons = episode.n_neurons
    if not n_neurons:
        return None
    grid = Grid.over(start, stop, _affordable(episode, start, stop))
    spikes = [episode.get_spikes(*span) for span in grid.spans]
    rows = np.concatenate([episode.spike_timesteps(*span) for span in grid.spans])
    steps = np.concatenate([one["timesteps"] for one in spikes])
    neurons = np.concatenate([one["neuron_ids"] for one in spikes])
    drawn = grid.whole and len(steps) <= POINTS
    dense = None if drawn else image(steps, neurons, rows, n_neurons, grid, GROUPS)
    rate = firing(steps, rows, n_neurons, grid)
    shown = slice(None) if drawn else slice(0, 0)
    return Raster(grid, n_neurons, steps[shown], neurons[shown], dense, rate)


def _affordable(episode: EpisodeData, start: int, stop: int) -> int:
    """Timesteps of whose spikes there are about ``READ_SPIKES``, judged by some at the window's end."""
    probe = max(1, min(1000, (stop - start) // 10))
    found = len(episode.get_spikes(stop - probe, stop)["timesteps"])
    return READ_SPIKES * probe // max(found, probe)


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
        if stream.dtype.kind not in "biuf" or 0 in shape or wanted == []:
            continue
        grid = _grid(window, rows[name] * stream.dtype.itemsize * math.prod(shape), READ_BYTES)
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
    return found.get(key + OWN_TIMESTEPS, found[TIMESTEPS]), found[key]


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
    text = ", ".join(f"{key}: {value!r}" for key, value in data.items())
    return text if len(text) <= 120 else text[:119] + "…"
