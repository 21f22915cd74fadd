"""Keep what led to a burst of activity, and what followed, and nothing of the hours between.

python examples/triggered_capture.py
"""

from pathlib import Path
from typing import Any

import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.integrations.triggered import Triggered


def burst(spikes: np.ndarray, **_: Any) -> bool:
    """Whether half of the neurons fire in a step."""
    return bool(spikes.sum() > len(spikes) / 2)


def record(output: str | Path = "experiments", steps: int = 20_000, n: int = 100) -> Path:
    """Simulate so many steps of noisy neurons with bursts; the recording's folder."""
    rng = np.random.default_rng(0)
    with DataExporter("bursts", str(output), neural_sampling_rate=1) as exporter:
        capture = Triggered(
            exporter, before=200, after=100, predicate=lambda spikes, **_: spikes.sum() > n / 2
        )
        capture.start_episode()
        v = np.zeros(n)
        for t in range(steps):
            v += rng.normal(size=n) * 0.05 - 0.05 * v + (0.3 if t % 5000 > 4970 else 0.0)
            spikes = v > 1.0
            v[spikes] = 0.0
            capture.log(t, neural_state={"v": v}, spikes=spikes)
        capture.end_episode(success=True)
    return exporter.output_dir


if __name__ == "__main__":
    with ExperimentLoader(record()) as experiment:
        episode = experiment.get_episode(0)
        captures = episode.get_events("capture")
        for t, first in zip(captures["timesteps"], captures["first"], strict=True):
            print(f"timestep {t}: a burst, recorded from {first}")
        print(len(episode.get_neural_states()["v"]), "of 20,000 steps are stored")
