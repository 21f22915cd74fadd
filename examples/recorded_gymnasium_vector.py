"""Environments that step together, each recorded by itself, all of them as one table.

python -m pip install "flightrec[gymnasium]"
python examples/recorded_gymnasium_vector.py
"""

from pathlib import Path

import gymnasium

from loaders import ExperimentCollection
from recorder.integrations.gymnasium_vector import RecordVectorEpisodes


def record(output: str | Path = "experiments", steps: int = 1000, num_envs: int = 4) -> Path:
    """Record so many steps of random actions; the folder of the recordings."""
    envs = gymnasium.make_vec("CartPole-v1", num_envs=num_envs)
    with RecordVectorEpisodes(envs, "cartpoles", output) as recorded:
        recorded.action_space.seed(0)
        recorded.reset(seed=0)
        for _ in range(steps):
            recorded.step(recorded.action_space.sample())
    return recorded.folder


if __name__ == "__main__":
    print(ExperimentCollection(record()))
