"""Weight changes and events as they were logged, in call order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.clock import Clock
from recorder.format.events import decode_event
from recorder.format.layout import ENCODING, EVENTS, EVENTS_JSON, TIMESTEPS, WEIGHT_CHANGES
from recorder.h5.reading.episode import StoredEpisode
from recorder.h5.reading.guard import damage

_BLOCK = 16_384


def weight_columns(stored: StoredEpisode, first: int = 0, last: int | None = None) -> dict[str, NDArray[Any]]:
    """Columns of the weight changes, ``(changes, ...)`` each, in call order; {} without any.

    Raises
    ------
    DamagedError
        The columns of an ended episode differ in length, or there are no timesteps.
    """
    rows = weight_rows(stored)
    stop = rows if last is None else min(last, rows)
    keys = stored.keys(WEIGHT_CHANGES)
    return {key: stored.read(f"{WEIGHT_CHANGES}/{key}", min(first, stop), stop) for key in keys}


def weight_rows(stored: StoredEpisode) -> int:
    """How many weight changes there are; raises what :func:`weight_columns` does."""
    keys = stored.keys(WEIGHT_CHANGES)
    if not keys:
        return 0
    if TIMESTEPS not in keys:
        raise DamagedError(f"{stored.name}/{WEIGHT_CHANGES} has no timesteps")
    counts = {key: stored.rows(f"{WEIGHT_CHANGES}/{key}") for key in keys}
    rows = min(counts.values())
    if max(counts.values()) != rows and not stored.running:
        raise DamagedError(f"{stored.name}/{WEIGHT_CHANGES}: columns of different lengths: {counts}")
    return rows


def has_events(stored: StoredEpisode) -> bool:
    """Whether the episode has events in ``format = "json"``.

    Raises
    ------
    DamagedError
        An encoding this reader does not know.
    """
    if not stored.keys(EVENTS):
        return False
    encoding = stored.facts(EVENTS).get(ENCODING)
    if encoding != EVENTS_JSON:
        raise DamagedError(f"{stored.name}/{EVENTS}: unknown format {encoding!r}")
    return True


def event_rows(stored: StoredEpisode) -> int:
    """How many events there are, as far as their bytes are; raises what :func:`has_events` does."""
    if not has_events(stored):
        return 0
    rows = min(stored.rows(f"{EVENTS}/{TIMESTEPS}"), stored.rows(f"{EVENTS}/ends"))
    if not stored.running or not rows:
        return rows
    size = stored.rows(f"{EVENTS}/data")
    return int(np.searchsorted(stored.read(f"{EVENTS}/ends", 0, rows), size, side="right"))


def event_clock(stored: StoredEpisode) -> Clock:
    """The timesteps of the events, in call order; raises what :func:`has_events` does."""
    return stored.clock(f"{EVENTS}/{TIMESTEPS}") if has_events(stored) else Clock()


def weight_clock(stored: StoredEpisode) -> Clock:
    """The timesteps of the weight changes, in call order; raises what :func:`weight_columns` does."""
    return stored.clock(f"{WEIGHT_CHANGES}/{TIMESTEPS}") if weight_rows(stored) else Clock()


def iter_events(
    stored: StoredEpisode, first: int = 0, last: int | None = None
) -> Iterator[tuple[int, str, dict[Any, Any]]]:
    """(timestep, type, data) of each event in call order; reads and decodes block by block.

    Raises
    ------
    DamagedError
    """
    if not has_events(stored):
        return
    rows = min(stored.rows(f"{EVENTS}/{TIMESTEPS}"), stored.rows(f"{EVENTS}/ends"))
    rows = rows if last is None else min(last, rows)
    size = stored.rows(f"{EVENTS}/data")
    begin = int(stored.read(f"{EVENTS}/ends", first - 1, first)[0]) if 0 < first < rows else 0
    for low in range(first, rows, _BLOCK):
        high = min(low + _BLOCK, rows)
        steps = stored.read(f"{EVENTS}/{TIMESTEPS}", low, high).tolist()
        ends = stored.read(f"{EVENTS}/ends", low, high).astype(np.int64)
        if stored.running:
            ends = ends[ends <= size]
        if len(ends) and ((np.diff(ends, prepend=begin) < 0).any() or not 0 <= ends[-1] <= size):
            raise DamagedError(f"{stored.name}/{EVENTS}: ends do not cut the {size} bytes of data")
        if not len(ends):
            return
        with damage(f"{stored.name}/{EVENTS}"):
            raw = stored.read(f"{EVENTS}/data", begin, int(ends[-1])).tobytes()
        start = 0
        for step, end in zip(steps, (ends - begin).tolist(), strict=False):
            kind, data = decode_event(raw[start:end])
            start = end
            yield step, kind, data
        begin = int(ends[-1])
