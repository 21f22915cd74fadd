"""What lies between two timesteps in tables that are in call order: events and weight changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.events import Event
from loaders.original_streams import iter_original_events, original_weight_columns
from loaders.stream import StreamOwner
from recorder.format.bounds import BEYOND, half_open, whole_count
from recorder.format.clock import Clock, Rows, row_span
from recorder.format.layout import EVENTS, TIMESTEPS
from recorder.h5.source import StoredEpisode, event_clock, iter_events, weight_clock, weight_columns


def events_between(
    stored: StoredEpisode, start: float | None, stop: float | None, last: int | None = None
) -> Iterator[Event]:
    """The events between two timesteps, or the ``last`` so many of them, in call order."""
    last = None if last is None else whole_count(last, "last")
    if stored.original:
        first, end = half_open(start, stop)
        low, high = (-BEYOND if first is None else first), (BEYOND if end is None else end)
        found = (event for event in iter_original_events(stored) if low <= event[0] < high)
        return found if last is None else iter(deque(found, maxlen=last))
    rows = event_clock(stored).rows(start, stop)
    rows = rows if last is None else _last(rows, last)
    first, end = row_span(rows)
    events = iter_events(stored, first, end)
    if isinstance(rows, slice):
        return events
    wanted = set((rows - first).tolist())
    return (event for number, event in enumerate(events) if number in wanted)


def newest_events(episode: StreamOwner, start: int, stop: int, most: int, most_bytes: int) -> Iterator[Event]:
    """The last events between two timesteps: so many, or fewer whose data have no more than so many bytes."""
    return iter(
        episode._recording.steady(lambda: list(_newest(episode._stored(), start, stop, most, most_bytes)))
    )


def _newest(stored: StoredEpisode, start: int, stop: int, most: int, most_bytes: int) -> Iterator[Event]:
    rows = Clock().rows() if stored.original else event_clock(stored).rows(start, stop)
    if not isinstance(rows, slice) or stored.original or rows.stop <= rows.start:
        return events_between(stored, start, stop, most)
    first = max(rows.start, rows.stop - most)
    ends = stored.read(f"{EVENTS}/ends", first, rows.stop).astype(np.int64)
    few = len(ends) - int(np.searchsorted(ends, ends[-1:] - most_bytes, side="right")[0])
    return iter_events(stored, rows.stop - max(1, few), rows.stop)


def weights_between(
    stored: StoredEpisode, start: float | None, stop: float | None
) -> dict[str, NDArray[Any]]:
    """Columns of the weight changes between two timesteps, in call order; {} where none were logged."""
    if stored.original:
        columns = original_weight_columns(stored)
        steps = columns.get(TIMESTEPS, np.empty(0, np.int64))
        rows = Clock.of([steps]).rows(start, stop)
    else:
        rows = weight_clock(stored).rows(start, stop)
        first, last = row_span(rows)
        columns = weight_columns(stored, first, last)
        rows = slice(None) if isinstance(rows, slice) else rows - first
    return {name: column[rows] for name, column in columns.items()}


def _last(rows: Rows, count: int) -> Rows:
    if isinstance(rows, slice):
        return slice(max(rows.start, rows.stop - count), rows.stop)
    return rows[max(0, len(rows) - count) :]
