"""A program that records, until it is killed: ``python -m tests.live.writer FOLDER EPISODES STEPS PAUSE``.

With ``EPISODE:STEP`` after these it waits before that step for the end of its standard input, so that who
watches it is there before it ends, however slow the machine.

Every value says which step of which episode it belongs to, so that a torn row shows.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from recorder import DataExporter

NEURONS = 40


def call(episode: int, step: int) -> dict[str, Any]:
    """What is logged of a step."""
    return {
        "timestep": step,
        "neural_state": {"v": np.full(NEURONS, 1e6 * episode + step)},
        "spikes": np.arange(NEURONS) % 11 == step % 11,
        "behavior": {"episode": episode, "x": step + 0.25},
        "reward": float(step // 10),
    }


def main(folder: str, episodes: int, steps: int, pause: float, held: tuple[int, ...] = ()) -> None:
    """Record, and wait before the step ``held`` of an episode."""
    with DataExporter("run", folder, neural_sampling_rate=5) as exporter:
        for episode in range(episodes):
            exporter.start_episode()
            for step in range(steps):
                if (episode, step) == held:
                    sys.stdin.read()
                exporter.log(**call(episode, step))
                if pause:
                    time.sleep(pause)
            exporter.log(timestep=steps, event_type="end", data={"episode": episode})
            exporter.end_episode(success=True, summary={"episode": episode})


if __name__ == "__main__":
    main(
        sys.argv[1],
        int(sys.argv[2]),
        int(sys.argv[3]),
        float(sys.argv[4]),
        tuple(map(int, sys.argv[5].split(":"))) if len(sys.argv) > 5 else (),
    )
