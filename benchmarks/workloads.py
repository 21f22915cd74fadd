"""What the benchmarks record: seeded inputs, prepared before any clock starts.

Nothing repeats within reach of a compressor: deflate looks back 32 kB, and a short list of rows used
again and again would be "compressed" to nothing. Every step has spikes of its own, and the potentials
come from a pool whose length is a prime, so that every kept row differs from its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 20_240_607
POOL_ROWS = 1009
REWARD_EVERY = 50


@dataclass(frozen=True)
class Workload:
    """Episodes of a population with Bernoulli spikes, potentials, a position and a reward.

    Attributes
    ----------
    episodes, steps : int
        Number of episodes, and timesteps of each.
    neurons : int
    rate : float
        Probability that a neuron spikes in a step.
    sampling : int
        ``neural_sampling_rate``: potentials are handed over in every step, one row in so many is kept.
    """

    name: str
    episodes: int
    steps: int
    neurons: int
    rate: float
    sampling: int = 100

    @property
    def total(self) -> int:
        """Timesteps over all episodes."""
        return self.episodes * self.steps

    def cut(self, total: int) -> Workload:
        """The same with at most ``total`` timesteps, spread over the same number of episodes."""
        return replace(self, steps=max(1, min(self.steps, total // self.episodes)))


WORKLOADS = {
    # The workload of the measured facts.
    "facts": Workload("facts", 10, 100_000, 100, 0.02),
    # The original system's four scenarios. It fixes episodes, steps and neurons; the spike rates are ours.
    "small_high_freq": Workload("small_high_freq", 5, 10_000, 100, 0.05),
    "medium_normal": Workload("medium_normal", 10, 5_000, 500, 0.02),
    "large_sparse": Workload("large_sparse", 3, 10_000, 2_000, 0.005),
    "stress_test": Workload("stress_test", 2, 20_000, 1_000, 0.05),
    # Every potential of every step: dense floats decide the rest.
    "dense": Workload("dense", 1, 20_000, 1_000, 0.02, sampling=1),
}

NEURONS = {
    f"{neurons:,} neurons": Workload(f"{neurons:,} neurons", 1, steps, neurons, 0.02)
    # fewer steps of many, so that inputs, prepared beforehand, stay below 100 MB
    for neurons, steps in ((10, 500_000), (100, 500_000), (1_000, 100_000), (3_000, 30_000), (10_000, 10_000))
}
"""The same for populations of any size: how does the rate fall with their number?"""


@dataclass(frozen=True)
class Inputs:
    """A workload's values, one entry a step over all episodes; ``v`` is a pool to be cycled through."""

    spikes: NDArray[np.bool_]
    v: list[NDArray[np.float64]]
    x: list[float]
    y: list[float]
    reward: list[float]


def generate(workload: Workload, seed: int = SEED) -> Inputs:
    """The inputs of a workload; the same for the same seed, whichever exporter gets them."""
    rng = np.random.default_rng(seed)
    total = workload.total
    spikes = np.empty((total, workload.neurons), bool)
    step = max(1, (1 << 22) // workload.neurons)
    for start in range(0, total, step):
        block = spikes[start : start + step]
        np.less(rng.random(block.shape, np.float32), workload.rate, out=block)
    rewards = np.where(np.arange(total) % REWARD_EVERY == 0, 1.0, 0.0)
    return Inputs(
        spikes=spikes,
        v=list(rng.normal(-60.0, 5.0, (POOL_ROWS, workload.neurons))),
        x=np.cumsum(rng.normal(size=total)).tolist(),
        y=np.cumsum(rng.normal(size=total)).tolist(),
        reward=rewards.tolist(),
    )


def shannon_bytes(spikes: NDArray[Any]) -> float:
    """Bytes below which no lossless code of independent, equally likely spikes can come on average.

    The entropy of a Bernoulli variable at the data's own mean rate, times the number of cells.
    """
    p = np.count_nonzero(spikes) / spikes.size
    if p in (0.0, 1.0):
        return 0.0
    return float(spikes.size * -(p * np.log2(p) + (1 - p) * np.log2(1 - p)) / 8)
