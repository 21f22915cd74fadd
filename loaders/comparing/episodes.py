"""What two episodes logged, compared stream by stream in pieces, so that length costs no memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loaders.comparing.difference import ABSENT, Difference, unequal, unlike
from loaders.comparing.pieces import pieces
from loaders.comparing.streams import TABLES, Columns, Rows
from loaders.episode import EpisodeData
from recorder.format.layout import SPIKES

TIMES = frozenset({"start_time", "end_time"})


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

    def compare(self, a: Columns, b: Columns, rows: tuple[int, int]) -> None:
        """Some rows of both, so many of them, by columns; the timesteps are one of those."""
        for side in (0, 1):
            self.rows[side] += rows[side]
        if rows[0] == rows[1] and a.keys() == b.keys() and _lengths(a) == _lengths(b):
            for name in a:
                self._column(name, a, b)
            return
        shown = [f"{max(_lengths(of), default=0)} rows of {', '.join(of) or 'nothing'}" for of in (a, b)]
        longer = a if max(_lengths(a), default=0) >= max(_lengths(b), default=0) else b
        self._note(longer, _apart(a, b), (shown[0], shown[1]), max(rows))

    def _column(self, name: str, a: Columns, b: Columns) -> None:
        one, other = a[name], b[name]
        if one.dtype != other.dtype or one.shape[1:] != other.shape[1:]:
            self.form = f"{name}: {one.dtype} {one.shape[1:]} | {other.dtype} {other.shape[1:]}"
            if one.shape != other.shape:
                self._note(a, 0, (one.shape[1:], other.shape[1:]), len(one))
                return
        rows = _unlike_rows(one, other)
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
    logged = [_logged(episode) for episode in (a, b)]
    if None not in logged:
        yield from unequal("data", f"{where}/spikes.dtype", *logged)
    for name in dict.fromkeys([*a.streams, *b.streams, *TABLES]):
        yield from _unequal_streams(a, b, name)


def _logged(episode: EpisodeData) -> Any:
    """What spikes were logged as; None without any, and in files of the original system, which do not say."""
    return episode._recording.steady(lambda: _logged_now(episode))


def _logged_now(episode: EpisodeData) -> str | None:
    said, spikes = episode._stored().facts(SPIKES).get("dtype"), episode._spikes()
    return None if said is None or spikes is None else "indices" if said == "indices" else str(spikes.dtype)


def _unequal_streams(a: EpisodeData, b: EpisodeData, name: str) -> Iterator[Difference]:
    where = f"episode {a.episode_id}/{name}"
    one, other = Rows(a, name), Rows(b, name)
    if not one.count and not other.count and name not in TABLES:
        yield from unequal("data", where, *(_form(episode, name) for episode in (a, b)))
    found = _Stream(where)
    for first, second in pieces(one, other):
        sides = one.read(first.start, first.stop), other.read(second.start, second.stop)
        found.compare(*sides, (first.stop - first.start, second.stop - second.start))
    yield from found.found()


def _form(episode: EpisodeData, name: str) -> Any:
    if name not in episode.streams:
        return ABSENT
    stream = episode.stream(name)
    return f"{stream.dtype} {stream.shape}"


def _trees(episode: EpisodeData, what: str) -> dict[str, Any]:
    if what == "final state":
        return episode.get_final_state()
    return {name: episode.get_static_data(name) for name in episode.list_static_data()}


def _lengths(columns: Columns) -> list[int]:
    return [len(column) for column in columns.values()]


def _unlike_rows(a: Any, b: Any) -> Any:
    """Numbers of the rows that differ, of two arrays of one shape."""
    differ = unlike(a, b)
    return np.flatnonzero(differ.any(axis=tuple(range(1, differ.ndim))))


def _apart(a: Columns, b: Columns) -> int:
    """The first row at which columns of two lengths differ."""
    first = min([*_lengths(a), *_lengths(b)], default=0)
    for name in a.keys() & b.keys():
        one, other = a[name][:first], b[name][:first]
        if one.shape == other.shape and len(rows := _unlike_rows(one, other)):
            first = int(rows[0])
    return first
