"""What ``on_full="drop"`` lets go: counted stream by stream, and said once an episode."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from recorder.errors import DroppedStepsWarning
from recorder.format.layout import EVENTS, WEIGHT_CHANGES
from recorder.frames import own_frames
from recorder.plan import Stream
from recorder.ring.arena import Ring
from recorder.sideband import Side


class Drops:
    """What one episode lost. Off the path of calls that are stored, which pay nothing for it."""

    def __init__(self, ring: Ring, episode_id: int) -> None:
        self._ring, self._episode_id = ring, episode_id
        self.steps = 0
        self._due: dict[str, int] = {}
        self._warned = False

    def call(self, step: int, given: Iterable[Stream], side: Side, due: Mapping[str, int]) -> None:
        """Count one call of ``log`` with these streams; ``due`` says when sampled ones keep a row.

        A sample that is let go is one row lost, however many steps pass until one is stored again.
        """
        rows = []
        for stream in given:
            if stream.rate > 1:
                if step < self.due(stream.name, due[stream.name]):
                    continue
                self.let_go(stream.name, step + stream.rate)
            rows.append((stream.name, 1))
        if side.weight is not None:
            rows.append((WEIGHT_CHANGES, 1))
        if side.event is not None:
            rows.append((EVENTS, 1))
        self._count(rows, 1, stored=0)

    def batch(self, rows: list[tuple[str, int]], steps: int, done: int) -> None:
        """Count what is left of a batch of ``steps`` after ``done``: ``rows`` by stream."""
        self._count(rows, steps - done, stored=done)

    def due(self, name: str, due: int) -> int:
        """When a sampled stream's next row is lost, where ``due`` says when its next one is kept."""
        return max(due, self._due.get(name, due))

    def let_go(self, name: str, due: int) -> None:
        """A sampled stream lost a row, and would have kept the next one at ``due``."""
        self._due[name] = due

    def _count(self, rows: list[tuple[str, int]], steps: int, *, stored: int) -> None:
        self._ring.drops.add(self._episode_id, rows)
        self._ring.dropped += steps
        self.steps += steps
        if not self._warned:
            self._warned = True
            warnings.warn(
                DroppedStepsWarning(self._episode_id, stored=stored, dropped=steps), stacklevel=own_frames()
            )

    def end(self) -> dict[str, Any]:
        """What the end of the episode says of it."""
        lost = {"dropped": self._ring.drops.of(self._episode_id)} if self.steps else {}
        return {"dropped_timesteps": self.steps, **lost}


def describe_full(error: Any, stored: int, steps: int) -> str:
    """The text of an error that cut a batch short."""
    return f"{error}. Of the {steps} steps of this call the first {stored} were stored"
