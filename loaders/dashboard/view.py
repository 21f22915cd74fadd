"""What a page wants to see and what it gets: reading, apart from all that a browser has to do with."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from loaders.dashboard.library import Entry, Library
from loaders.dashboard.picture import DRAWN, Choice, Picture, look
from loaders.experiment import ExperimentLoader
from loaders.live.experiment import LiveExperiment
from loaders.live.status import LiveStatus
from recorder.errors import FlightrecError, ReadError

HISTORY = 600
"""Statuses whose rate and lag are kept."""
_ENDED = 5.0
"""Seconds between two looks at a recording that nobody writes."""


@dataclass(frozen=True)
class Wish:
    """What a page wants to see.

    Attributes
    ----------
    path : Path or None
        The recording's file.
    episode : int or None
        None for the newest.
    window : (start, stop) or None
        Timesteps, half-open; None for the newest of them.
    width : int or None
        Of that window, in timesteps; None for the whole episode.
    """

    path: Path | None = None
    episode: int | None = None
    window: tuple[int, int] | None = None
    width: int | None = 10_000
    choice: Choice = field(default_factory=Choice)


@dataclass(frozen=True, eq=False)
class Seen:
    """What it gets; ``problem`` says why there is no more of it.

    Attributes
    ----------
    span : (start, stop) or None
        All timesteps of the episode so far.
    streams : tuple of str
        That can be drawn, by their names.
    n_neurons : dict of str to int
        Width of the streams that have one.
    """

    entries: list[Entry] = field(default_factory=list)
    status: LiveStatus | None = None
    episodes: tuple[int, ...] = ()
    episode: int | None = None
    span: tuple[int, int] | None = None
    streams: tuple[str, ...] = ()
    n_neurons: dict[str, int] = field(default_factory=dict)
    picture: Picture | None = None
    problem: str = ""


class View:
    """Reads what one page shows; each call opens, follows or lets go of recordings as it needs."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._live: LiveExperiment | None = None
        self._status: LiveStatus | None = None
        self._looked = 0.0
        self._last: tuple[Wish, Seen] | None = None
        self._hurries = False
        """The recording changes faster than all of a picture can be read at once: part by part, then."""
        self.history: deque[tuple[float, float, float]] = deque(maxlen=HISTORY)

    def look(self, wish: Wish) -> Seen:
        """What there is of it; where reading fails that is what is told, and the next look tries again."""
        entries = self._library.entries()
        if wish.path is None:
            self.close()
            return Seen(entries)
        try:
            return self._look(wish, entries)
        except (FlightrecError, OSError) as error:
            self.close()
            return Seen(entries, problem=" ".join(str(error).split()))

    def close(self) -> None:
        """Let go of the recording; idempotent."""
        if self._live is not None:
            self._live.close()
        self._live = self._status = self._last = None
        self._looked, self._hurries = 0.0, False
        self.history.clear()

    def _look(self, wish: Wish, entries: list[Entry]) -> Seen:
        assert wish.path is not None
        if self._live is None or self._live.h5_path != wish.path:
            self.close()
            self._live = LiveExperiment(wish.path, wait=0)
        status = self._take(self._live)
        if not status.alive and self._last is not None and self._last[0] == wish and self._live_ended(status):
            return Seen(**{**vars(self._last[1]), "entries": entries, "status": status})
        experiment = self._live.experiment
        if self._hurries:
            seen = _seen(experiment, wish, entries, status)
        else:
            try:
                seen = experiment.at_once(lambda one: _seen(one, wish, entries, status))
            except ReadError:
                if not status.alive:
                    raise
                self._hurries = True
                seen = _seen(experiment, wish, entries, status)
        self._last = wish, seen
        return seen

    def _live_ended(self, status: LiveStatus) -> bool:
        """Whether the last look was at the recording as it is now, when nobody writes it any more."""
        return self._last is not None and self._last[1].status == status

    def _take(self, live: LiveExperiment) -> LiveStatus:
        now = time.monotonic()
        status = self._status
        if status is None or status.alive or now - self._looked > _ENDED:
            try:
                status, self._looked = live.status(), now
            except ReadError:
                if status is None:
                    raise
                return status  # it changes too fast for now: as it was
            if status.alive:
                rate, lag = (math.nan if one is None else one for one in (status.rate, status.lag))
                self.history.append((time.time() * 1e3, rate, lag))
        self._status = status
        return status


def _seen(experiment: ExperimentLoader, wish: Wish, entries: list[Entry], status: LiveStatus) -> Seen:
    episodes = tuple(experiment.list_episodes())
    if not episodes:
        return Seen(entries, status, problem="no episode has begun")
    wanted = episodes[-1] if wish.episode is None else wish.episode
    chosen = min(episodes, key=lambda one: (abs(one - wanted), one))
    episode = experiment.get_episode(chosen)
    span = episode.span()
    streams = [episode.stream(name) for name in episode.streams]
    shapes = {one.name: one.shape for one in streams if one.dtype.kind in DRAWN}
    picture = None
    if span is not None:
        picture = look(episode, _window(wish, span), wish.choice)
    return Seen(
        entries,
        status,
        episodes,
        chosen,
        span,
        tuple(shapes),
        {name: shape[1] for name, shape in shapes.items() if len(shape) > 1},
        picture,
    )


def _window(wish: Wish, span: tuple[int, int]) -> tuple[int, int]:
    start, stop = span
    if wish.window is not None:
        return wish.window
    return (start if wish.width is None else max(start, stop - wish.width)), stop
