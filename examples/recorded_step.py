"""A decorator before the step function of a simulation, and each call of it is recorded.

python examples/recorded_step.py
"""

from pathlib import Path

import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.integrations.stepping import record_steps


class Network:
    """Leaky neurons under noise."""

    def __init__(self, n: int = 100, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.v = np.full(n, -65.0)
        self.spikes = np.zeros(n, bool)

    def step(self) -> None:
        """One step of the simulation, which knows nothing of a recording."""
        self.v += 0.05 * (-65.0 - self.v) + self.rng.normal(1.0, 2.0, len(self.v))
        self.spikes = self.v > -50.0
        self.v[self.spikes] = -65.0


def record(output: str | Path = "experiments", steps: int = 1000) -> Path:
    """Record so many steps; the recording's folder."""
    network = Network()
    with DataExporter("stepped", str(output), neural_sampling_rate=10) as exporter:

        @record_steps(exporter, lambda _: {"neural_state": {"v": network.v}, "spikes": network.spikes})
        def step() -> None:
            network.step()

        exporter.start_episode()
        for _ in range(steps):
            step()
        exporter.end_episode(success=True)
    return exporter.output_dir


if __name__ == "__main__":
    with ExperimentLoader(record()) as experiment:
        print(experiment)
        print(len(experiment.get_episode(0).get_spikes()["timesteps"]), "spikes")
