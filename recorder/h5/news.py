"""What a piece of a ring's record says, stream by stream, as it was logged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.events import decode_event
from recorder.format.layout import BEHAVIOR, EVENTS, NEURAL, REWARDS, SPIKES, WEIGHT_CHANGES
from recorder.h5.pieces import Piece
from recorder.h5.streams.rows import Rows
from recorder.h5.streams.spikes import cells_of
from recorder.ring.record import LoggedTable

Samples = tuple[NDArray[np.int64], NDArray[Any]]
"""Timesteps ``(rows,)`` and values ``(rows, ...)``."""


@dataclass
class News:
    """Rows of one episode that one piece brought."""

    timesteps: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    streams: dict[str, Samples] = field(default_factory=dict)
    """By path, ``neural_states/v``."""
    rewards: Samples | None = None
    spike_timesteps: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Of the rows of the raster, silent ones included."""
    spike_rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Of each spike, its row in ``spike_timesteps``."""
    neurons: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    graded: NDArray[Any] | None = None
    """Of each graded spike, its value."""
    n_neurons: int | None = None
    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    events: list[tuple[int, str, dict[Any, Any]]] = field(default_factory=list)


def news_of(piece: Piece) -> News:
    """What a piece of rows says; arrays are the piece's own.

    Raises
    ------
    DamagedError
        An event's bytes are none.
    """
    rows = Rows(piece)
    news = News(rows.timesteps)
    for group in (NEURAL, BEHAVIOR):
        for name in rows.names(group):
            places, values = rows.column(name)
            if len(values):
                news.streams[name] = rows.timesteps_of(places), values
    if REWARDS in rows.streams:
        places, values = rows.column(REWARDS)
        if len(values):
            news.rewards = rows.timesteps_of(places), values
    if SPIKES in rows.streams:
        news.spike_timesteps, cells, news.graded = cells_of(rows)
        news.n_neurons = n_neurons = rows.streams[SPIKES]["n_neurons"]
        news.spike_rows, news.neurons = np.divmod(cells, n_neurons)
    weights, events = rows.view(WEIGHT_CHANGES), rows.view(EVENTS)
    if weights is not None:
        table = weights.columns["row"][: rows.table(WEIGHT_CHANGES)]
        news.weights = {name: table[name].copy() for name in table.dtype.names or () if len(table)}
    if events is not None:
        news.events = list(_events(events, rows.table(EVENTS)))
    return news


def _events(view: LoggedTable, count: int) -> Iterable[tuple[int, str, dict[Any, Any]]]:
    start = 0
    for step, end in view.columns["row"][:count].tolist():
        yield (step, *decode_event(view.heap[start:end].tobytes()))
        start = end
