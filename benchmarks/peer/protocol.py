"""What every peer's module offers, and the loop that drives it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from peer.work import Work

Array = NDArray[Any]
Rows = Iterable[tuple[Any, ...]]


class Recorder(Protocol):
    """Records episodes; constructing it opens whatever it writes."""

    def __init__(self, folder: Path, work: Work) -> None: ...

    def start_episode(self) -> None:
        """Before an episode's first step."""

    def log(self, t: int, v: Array, spikes: Array, x: float, y: float, reward: float) -> None:
        """One step; of ``v`` one row in ``work.sampling`` is kept."""

    def end_episode(self) -> None:
        """After an episode's last step."""

    def close(self) -> None:
        """Write what is left and close."""


@dataclass
class Part:
    """A piece of what was read back, in the order of the steps; None: nothing of that in this piece."""

    counts: Array | None = None
    """Spikes of each step."""
    neurons: Array | None = None
    """Neurons that spiked, step after step, ascending in each."""
    x: Array | None = None
    y: Array | None = None
    reward: Array | None = None
    v: Array | None = None
    """Kept rows, (rows, neurons)."""


class Module(Protocol):
    """A module of this package."""

    Recorder: type[Recorder]

    def read(self, folder: Path) -> Iterator[Part]:
        """What was recorded, until the end or until the reader raises."""


def drive(recorder: Recorder, rows: Rows) -> None:
    """Log every row. A module with a ``drive`` of its own is called differently."""
    log = recorder.log
    for t, v, spikes, x, y, reward in rows:
        log(t, v, spikes, x, y, reward)
