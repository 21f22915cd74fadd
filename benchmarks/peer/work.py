"""The work that all are compared on, and one pass over it, row by row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from workloads import Inputs, Workload, generate


@dataclass(frozen=True)
class Work(Workload):
    """A workload with the form of its spikes, ``"raster"`` or ``"indices"``, and the dtype of ``v``."""

    spikes_as: str = "raster"
    dtype: str = "float64"

    def shortened(self, total: int) -> Work:
        """The same with at most ``total`` timesteps: fewer episodes, which stay as long."""
        steps = max(1, min(self.steps, total))
        return replace(self, episodes=min(self.episodes, max(1, total // steps)), steps=steps)

    @property
    def neuron_dtype(self) -> np.dtype[Any]:
        """The smallest that holds every neuron's number, and how many spike at once."""
        return np.dtype(np.uint16 if self.neurons < 1 << 16 else np.uint32)

    def rows_in(self, size: int, most: int = 1 << 30) -> int:
        """Timesteps whose raw values fill ``size`` bytes; not fewer than 16.

        Whole multiples of ``sampling``: then every batch keeps equally many, and fills whole chunks.
        """
        spikes = self.neurons if self.spikes_as == "raster" else 8 * self.neurons * self.rate
        row = spikes + 32 + np.dtype(self.dtype).itemsize * self.neurons / self.sampling
        rows = int(min(most, max(16, size // row)))
        return max(1, rows // self.sampling) * self.sampling


def _populations() -> Iterator[Work]:
    # the longer ones are cut so that inputs, prepared beforehand, stay below 300 MB
    for neurons, steps in ((1_000, 200_000), (10_000, 20_000)):
        for rate in (0.001, 0.02):
            for form in ("raster", "indices"):
                name = f"{neurons // 1000}k-{rate:.1%}-{form}"
                yield Work(name, 1, steps, neurons, rate, sampling=10, spikes_as=form)


WORKLOADS = {
    work.name: work
    for work in (
        Work("facts", 10, 100_000, 100, 0.02),
        *_populations(),
        Work("dense64", 1, 20_000, 1_000, 0.02, sampling=1),
        Work("dense32", 1, 20_000, 1_000, 0.02, sampling=1, dtype="float32"),
        Work("short", 10_000, 200, 100, 0.02),
    )
}


@dataclass(frozen=True)
class Given:
    """The inputs as they are handed over: ``spikes`` a raster, or a list of index arrays."""

    work: Work
    inputs: Inputs
    spikes: Any
    v: list[Any]


def prepare(work: Work, seed: int) -> Given:
    """Everything that a run is given, before any clock starts."""
    inputs = generate(work, seed)
    spikes: Any = inputs.spikes
    if work.spikes_as == "indices":
        spikes = [np.flatnonzero(row) for row in inputs.spikes]
    return Given(work, inputs, spikes, [row.astype(work.dtype, copy=False) for row in inputs.v])


def episodes(given: Given) -> Iterator[Iterator[tuple[Any, ...]]]:
    """For each episode its rows: ``t, v, spikes, x, y, reward``."""
    inputs = given.inputs
    streams = (itertools.cycle(given.v), given.spikes, inputs.x, inputs.y, inputs.reward)
    rest = [iter(stream) for stream in streams]
    for _ in range(given.work.episodes):
        # zip stops at its first argument's end, before it takes from the others
        yield zip(range(given.work.steps), *rest, strict=False)
