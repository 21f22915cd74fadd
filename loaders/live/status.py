"""How a recording is doing: how far it is, how fast, and whether anybody still writes it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from recorder.errors import ReadError
from recorder.format.layout import RECOVERED, RUNNING
from recorder.h5.living import (
    EpisodeIndex,
    attributes,
    is_local,
    is_original,
    is_written,
    needs_repair,
    open_untrusted,
    open_unwritten,
    opened_ring,
    owner_of,
    present,
    ring_of,
    stamp_of,
    waiting_in,
    waiting_steps,
)
from recorder.h5.summary import KILLED, MISREADINGS, PATIENCE

_SOON = 0.2
"""Seconds between two looks from which a rate can be told."""


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """A recording at one instant.

    Attributes
    ----------
    path : Path
        The HDF5 file.
    name : str
    state : str
        ``running``, ``completed``, ``interrupted``, ``recovered``, or ``killed``: its program is gone and
        nobody has repaired it yet.
    alive : bool
        Whether a process writes it.
    since : datetime
        When that process began; of one that is gone, when its files last changed.
    pid, host : int or None, str or None
        Who writes it.
    episode_id : int or None
        The running episode.
    episodes, steps : int
        All so far. Of steps, all that were logged up to now.
    rate : float or None
        Steps a second since the last status, the first time since the recording began; None once nobody
        writes.
    lag_steps : int
        Steps that were logged and are not in the file yet; readers through flightrec see them all the same.
    lag : float or None
        The seconds that so many steps take at ``rate``.
    file_bytes, ring_bytes : int
        Sizes on disk; the ring is gone once the recording is closed.
    """

    path: Path
    name: str
    state: str
    alive: bool
    since: datetime
    pid: int | None
    host: str | None
    episode_id: int | None
    episodes: int
    steps: int
    rate: float | None
    lag_steps: int
    lag: float | None
    file_bytes: int
    ring_bytes: int


class StatusTaker:
    """Takes one status after the other of a recording."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._steps: dict[int, int] = {}
        """Of the episodes that have ended."""
        self._before: tuple[float, int] | None = None
        self._rate: float | None = None

    def take(self) -> LiveStatus:
        """The status now.

        Raises
        ------
        ReadError
            The file cannot be read, or is no recording.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._taken()
            except (ReadError, *MISREADINGS) as error:
                if time.monotonic() > deadline or not is_written(self._path):
                    raise ReadError(f"{self._path} cannot be read: {error}") from error
            time.sleep(0.002)

    def _taken(self) -> LiveStatus:
        path = self._path
        stamp, alive = stamp_of(path), is_written(path)
        owner = owner_of(path) if alive else {}
        killed = not alive and needs_repair(path)
        with contextlib.ExitStack() as stack:
            ring = stack.enter_context(opened_ring(path)) if ring_of(path).exists() else None
            started = None if ring is None else float(ring.owner["started"])
            ring = None if ring is None or not is_local(ring) else ring
            state, pieces = (b"", []) if ring is None else waiting_in(ring)[:2]
            lag = sum(piece.steps for piece in pieces) + waiting_steps(state)
            if killed:
                opened = open_unwritten(path)
            else:
                opened = open_untrusted(path) if ring is None else present(path, state, pieces)
            file = stack.enter_context(contextlib.closing(opened))
            facts = attributes(file)
            is_original(file, path)
            episodes, steps, running = self._counted(file)
        if alive and stamp_of(path) != stamp:
            raise ReadError("its structure changed")
        now = time.time()
        rate = self._rated(now, steps, started) if alive else None
        status = str(facts.get("status", ""))
        return LiveStatus(
            path=path,
            name=str(facts.get("experiment_name", path.parent.name)),
            state=KILLED if killed and status in (RUNNING, RECOVERED) else status,
            alive=alive,
            since=_since(owner, path),
            pid=owner.get("pid"),
            host=owner.get("host"),
            episode_id=running if alive else None,
            episodes=episodes,
            steps=steps,
            rate=rate,
            lag_steps=lag,
            lag=lag / rate if rate else None,
            file_bytes=path.stat().st_size,
            ring_bytes=ring_of(path).stat().st_size if ring_of(path).exists() else 0,
        )

    def _counted(self, file: Any) -> tuple[int, int, int | None]:
        index, running, more = EpisodeIndex(file), None, 0
        for episode_id in index.ids.keys() - self._steps.keys():
            episode = index.open(episode_id, original=False)
            facts = {} if episode is None else episode.attributes()
            steps = int(facts.get("total_timesteps", 0))
            if facts.get("status") == RUNNING:
                running, more = episode_id, more + steps
            else:
                self._steps[episode_id] = steps
        return len(index.ids), sum(self._steps.values()) + more, running

    def _rated(self, now: float, steps: int, started: float | None) -> float | None:
        if self._before is None:
            age = now - (now if started is None else started)
            self._rate = steps / age if age > 0 else None
            self._before = now, steps
        elif now - self._before[0] > _SOON:
            self._rate = (steps - self._before[1]) / (now - self._before[0])
            self._before = now, steps
        return self._rate


def _since(owner: dict[str, Any], path: Path) -> datetime:
    try:
        return datetime.fromisoformat(owner["since"])
    except (KeyError, ValueError):
        changed = [file.stat().st_mtime for file in (path, ring_of(path)) if file.exists()]
        return datetime.fromtimestamp(max(changed))
