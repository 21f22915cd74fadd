"""One line around a Gymnasium environment, and its episodes are recorded.

python -m pip install "flightrec[gymnasium]"
python examples/recorded_gymnasium.py
"""

from pathlib import Path

import gymnasium

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.integrations.gymnasium import RecordEpisodes


def record(output: str | Path = "experiments", episodes: int = 100) -> Path:
    """Record so many episodes of a policy that pushes where the pole falls; the recording's folder."""
    with DataExporter("cartpole", str(output)) as exporter:
        env = RecordEpisodes(gymnasium.make("CartPole-v1"), exporter)
        for episode in range(episodes):
            observation, _ = env.reset(seed=episode)
            ended = False
            while not ended:
                action = int(observation[2] + 0.2 * observation[3] > 0)
                observation, _, terminated, truncated, _ = env.step(action)
                ended = terminated or truncated
        env.close()
    return exporter.output_dir


if __name__ == "__main__":
    with ExperimentLoader(record()) as experiment:
        print(experiment.episodes)
