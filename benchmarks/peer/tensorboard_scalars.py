"""TensorBoard by tensorboardX: scalars only, as float32: x, y, reward and the number of spikes.

Follows https://tensorboardx.readthedocs.io/en/latest/tutorial.html (``add_scalar`` with a global step); read
back by TensorBoard's ``EventAccumulator``. Potentials and the neurons that spiked are not what it is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter

from peer.protocol import Array, Part
from peer.work import Work

TAGS = {"counts": "spikes", "x": "behavior/x", "y": "behavior/y", "reward": "reward"}


class Recorder:
    """One run; the global step goes on over episodes."""

    def __init__(self, folder: Path, work: Work) -> None:
        self._writer = SummaryWriter(str(folder), max_queue=1000)
        self._lists = work.spikes_as == "indices"
        self._step = 0

    def start_episode(self) -> None:
        """Nothing to do."""

    def log(self, t: int, v: Array, spikes: Array, x: float, y: float, reward: float) -> None:  # noqa: ARG002
        """Four scalars."""
        step, add = self._step, self._writer.add_scalar
        add("spikes", len(spikes) if self._lists else np.count_nonzero(spikes), step)
        add("behavior/x", x, step)
        add("behavior/y", y, step)
        add("reward", reward, step)
        self._step = step + 1

    def end_episode(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Wait for the thread."""
        self._writer.close()


def read(folder: Path) -> Iterator[Part]:
    """All scalars."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    have = events.Tags()["scalars"]
    found = {
        name: np.array([event.value for event in events.Scalars(tag)], np.float32)
        for name, tag in TAGS.items()
        if tag in have
    }
    if "counts" in found:
        found["counts"] = found["counts"].astype(np.int64)
    yield Part(**found)
