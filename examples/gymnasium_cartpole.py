"""Thousands of short, real episodes: Gymnasium's CartPole under a simple policy, every step recorded.

    python examples/gymnasium_cartpole.py --episodes 2000

The policy pushes towards the side to which the pole falls, except that it acts at random with a
probability that is drawn anew for each episode: so the episodes differ, and the table at the end, made
from the loaded file, has something to tell.
Needs `pip install gymnasium`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter

OBSERVATIONS = ("position", "velocity", "angle", "angular_velocity")


def run_episode(
    env: Any, exporter: DataExporter, seed: int, exploration: float, rng: np.random.Generator
) -> tuple[int, bool]:
    """One episode; its number of steps and whether the pole still stood at the end."""
    observation, _ = env.reset(seed=seed)
    step, terminated, truncated = 0, False, False
    while not (terminated or truncated):
        action = int(observation[2] + 0.2 * observation[3] > 0)
        if rng.random() < exploration:
            action = int(rng.integers(2))
        before = observation
        observation, reward, terminated, truncated, _ = env.step(action)
        exporter.log(
            timestep=step,
            behavior={
                "observation": before,
                "action": action,
                "terminated": terminated,
                "truncated": truncated,
            },
            reward=reward,
        )
        step += 1
    exporter.log(timestep=step - 1, event_type="end", data={"final_observation": observation})
    return step, truncated


def record(output: str | Path, episodes: int) -> Path:
    """Record so many episodes; the recording's folder."""
    env = gymnasium.make("CartPole-v1")
    rng = np.random.default_rng(0)
    with DataExporter("cartpole", output_base_dir=str(output)) as exporter:
        exporter.save_config(
            {"environment": env.spec.id, "max_steps": env.spec.max_episode_steps, "observation": OBSERVATIONS}
        )
        for episode in range(episodes):
            exploration = float(rng.uniform())
            exporter.start_episode()
            steps, stood = run_episode(env, exporter, episode, exploration, rng)
            exporter.end_episode(success=stood, summary={"exploration": exploration, "steps": steps})
    env.close()
    return exporter.output_dir


def report(folder: Path) -> None:
    """A table by the policy's exploration, from the loaded episodes."""
    rows = []
    with ExperimentLoader(folder) as experiment:
        for number in experiment.list_episodes():
            episode = experiment.get_episode(number)
            rewards, behavior = episode.get_rewards()["rewards"], episode.get_behavior()
            exploration = experiment.get_episode_summary(number)["exploration"]
            rows.append((exploration, rewards.sum(), bool(behavior["terminated"][-1])))
    explored, returns, fell = (np.array(column) for column in zip(*rows, strict=True))
    print(f"\n{'exploration':>11}  episodes  mean return  fell")
    for low in np.arange(0.0, 1.0, 0.2):
        mine = (explored >= low) & (explored < low + 0.2)
        if mine.any():
            mean, lost = returns[mine].mean(), fell[mine].mean()
            print(f"{low:5.1f}–{low + 0.2:.1f}  {mine.sum():9d}  {mean:11.1f}  {lost:4.0%}")


def main() -> None:
    """Record, then report."""
    parser = argparse.ArgumentParser(description="Record thousands of CartPole episodes.")
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--output", default="experiments", help="folder that gets the recording's folder")
    arguments = parser.parse_args()
    started = time.perf_counter()
    folder = record(arguments.output, arguments.episodes)
    print(f"{arguments.episodes} episodes in {time.perf_counter() - started:.1f} s: {folder}")
    report(folder)


if __name__ == "__main__":
    main()
