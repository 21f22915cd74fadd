"""CartPole's episodes, recorded, as a Minari dataset.

Needs `python -m pip install "flightrec[minari]"`.
"""

from itertools import count

import gymnasium
import minari

from loaders import ExperimentLoader
from recorder import DataExporter

env = gymnasium.make("CartPole-v1")
with DataExporter("for_minari") as exporter:
    for seed in range(3):
        exporter.start_episode()
        observation, _ = env.reset(seed=seed)
        step, over = 0, False
        while not over:
            action = int(observation[2] > 0)
            before = observation
            observation, reward, terminated, truncated, _ = env.step(action)
            behavior = {
                "observation": before,
                "action": action,
                "terminated": terminated,
                "truncated": truncated,
            }
            exporter.log(step, behavior=behavior, reward=reward)
            step, over = step + 1, terminated or truncated
        exporter.log_static_episode_data("last", {"observation": observation})
        exporter.end_episode()

known = minari.list_local_datasets()  # run once more, this makes the next version
name = next(name for name in map("examples/cartpole-v{}".format, count()) if name not in known)
with ExperimentLoader(exporter.output_dir) as experiment:
    experiment.to_minari(
        name,
        observations="behavior/observation",
        actions="behavior/action",
        final_observation="last/observation",
        terminations="behavior/terminated",
        truncations="behavior/truncated",
        environment="CartPole-v1",
        about={"author": "Jane Doe", "algorithm_name": "towards the side to which the pole falls"},
    )

dataset = minari.load_dataset(name)
print(f"{dataset.total_episodes} episodes, {dataset.total_steps} steps, {dataset.action_space}")
