"""What two episodes logged, compared in pieces of some ten thousand rows, so that length costs no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.comparing.difference import Difference, same, unequal, unlike
from loaders.episode import EpisodeData
from recorder.format.layout import NEURAL

ROWS = 20_000
"""Rows of all streams of an episode together that are compared at a time, but for those of one timestep."""
TIMES = frozenset({"start_time", "end_time"})
Columns = dict[str, NDArray[Any]]


@dataclass
class _Stream:
    """What has been found out about one stream."""

    where: str
    rows: list[int] = field(default_factory=lambda: [0, 0])
    differ: int = 0
    first: int | None = None
    example: tuple[Any, Any] = (None, None)
    most: float = 0.0
    form: str = ""

    def compare(self, a: Columns, b: Columns) -> None:
        """Some rows of both, by columns; the timesteps are one of them."""
        sides = (a, b)
        for side, columns in enumerate(sides):
            self.rows[side] += _length(columns)
        if not _length(a) and not _length(b):
            return
        if _length(a) != _length(b) or a.keys() != b.keys():
            shown = [f"{_length(columns)} rows of {', '.join(columns) or 'nothing'}" for columns in sides]
            self._note(a if _length(a) else b, 0, (shown[0], shown[1]), max(map(_length, sides)))
            return
        for name in a:
            self._column(name, a, b)

    def _column(self, name: str, a: Columns, b: Columns) -> None:
        one, other = a[name], b[name]
        if one.dtype != other.dtype or one.shape[1:] != other.shape[1:]:
            self.form = f"{name}: {one.dtype} {one.shape[1:]} | {other.dtype} {other.shape[1:]}"
            if one.shape != other.shape:
                self._note(a, 0, (one.shape[1:], other.shape[1:]), len(one))
                return
        if one.dtype.kind == "O" or other.dtype.kind == "O":
            differ = np.array([not same(x, y) for x, y in zip(one, other, strict=True)], bool)
        else:
            differ = unlike(one, other)
        rows = np.flatnonzero(differ.reshape(len(one), -1).any(1)) if len(one) else np.empty(0, int)
        if len(rows):
            self._note(a, int(rows[0]), (one[rows[0]], other[rows[0]]), len(rows))
            if one.dtype.kind in "iuf" and other.dtype.kind in "iuf":
                with np.errstate(all="ignore"):
                    apart = np.abs(one[rows].astype(np.float64) - other[rows].astype(np.float64))
                self.most = max(self.most, float(np.nanmax(apart, initial=0.0)))

    def _note(self, columns: Columns, row: int, example: tuple[Any, Any], count: int) -> None:
        self.differ += count
        if self.first is None:
            steps = columns.get("timesteps")
            self.first = int(steps[row]) if steps is not None and len(steps) > row else -1
            self.example = example

    def found(self) -> Iterator[Difference]:
        """At most one difference."""
        if not self.differ and not self.form:
            return
        notes = [self.form] if self.form else []
        if self.rows[0] != self.rows[1]:
            notes.append(f"{self.rows[0]:,} and {self.rows[1]:,} rows")
        if self.differ:
            notes.append(f"first at timestep {self.first}, {self.differ:,} values or rows")
        if self.most:
            notes.append(f"at most {self.most:.6g} apart")
        yield Difference("data", self.where, *self.example, "; ".join(notes))


def unequal_episodes(a: EpisodeData, b: EpisodeData) -> Iterator[Difference]:
    """What two episodes, of different recordings, do not have in common.

    Raises
    ------
    ReadError
        One of them is damaged.
    """
    where = f"episode {a.episode_id}"
    facts = [{k: v for k, v in e.get_metadata().items() if k not in TIMES} for e in (a, b)]
    yield from unequal("data", where, *facts)
    yield from unequal("data", f"{where}/spikes.n_neurons", a.n_neurons, b.n_neurons)
    for what in ("static data", "final state"):
        yield from unequal("data", f"{where}/{what}", _trees(a, what), _trees(b, what))
    names = list(dict.fromkeys([*a.streams, *b.streams, *_READERS]))
    streams = {name: _Stream(f"{where}/{name}") for name in names}
    for start, stop in _pieces(a, b):
        for name, stream in streams.items():
            stream.compare(_rows(a, name, start, stop), _rows(b, name, start, stop))
    for stream in streams.values():
        yield from stream.found()


def _trees(episode: EpisodeData, what: str) -> dict[str, Any]:
    if what == "final state":
        return episode.get_final_state()
    return {name: episode.get_static_data(name) for name in episode.list_static_data()}


def _pieces(a: EpisodeData, b: EpisodeData) -> Iterator[tuple[int, int]]:
    spans = [span for span in (a.span(), b.span()) if span is not None]
    waiting = [(min(s for s, _ in spans), max(e for _, e in spans))] if spans else []
    while waiting:
        start, stop = waiting.pop()
        rows = max(sum(episode.row_counts(start, stop).values()) for episode in (a, b))
        if not rows:
            continue
        if rows > ROWS and stop - start > 1:
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
            continue
        yield start, stop


def _rows(episode: EpisodeData, name: str, start: int, stop: int) -> Columns:
    """Rows of a stream between timesteps; {} without any."""
    if name in _READERS:
        return _READERS[name](episode, start, stop)
    if name not in episode.streams:
        return {}
    group, _, key = name.partition("/")
    read = episode.get_neural_states if group == NEURAL else episode.get_behavior
    found = read(timesteps=(start, stop), keys=[key])
    own = f"{key}_timesteps"
    return {"timesteps": found[own if own in found else "timesteps"], key: found[key]}


def _spike_rows(episode: EpisodeData, start: int, stop: int) -> Columns:
    """Silent rows count: at which timesteps there was one is part of what was logged."""
    return {"timesteps": episode.spike_timesteps(start, stop)}


def _events(episode: EpisodeData, start: int, stop: int) -> Columns:
    events = list(episode.iter_events(start, stop))
    cells = np.empty(len(events), object)
    cells[:] = [(kind, data) for _, kind, data in events]
    return {"timesteps": np.array([step for step, _, _ in events], np.int64), "events": cells}


_READERS: dict[str, Callable[[EpisodeData, int, int], Columns]] = {
    "spikes": lambda episode, start, stop: episode.get_spikes(start, stop),
    "spike rows": _spike_rows,
    "rewards": lambda episode, start, stop: episode.get_rewards(start, stop),
    "weight_changes": lambda episode, start, stop: episode.get_weight_changes(start, stop),
    "events": _events,
}


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values()))) if columns else 0
