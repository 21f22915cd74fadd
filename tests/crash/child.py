"""A recording made to be killed: every stream follows from (episode, timestep), and what was logged is told.

``python -m tests.crash.child FOLDER ACKNOWLEDGE STEPS WRITER`` records episodes of ``STEPS`` steps for ever,
written by a ``thread`` or by the ``caller``. After each call it stores in the shared map ``ACKNOWLEDGE``:
steps of this episode, this episode, ended episodes.
"""

from __future__ import annotations

import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np

NEURONS = 50


def level(episode: int, step: int) -> int:
    """The number from which everything that is logged at this step follows."""
    return episode * 1_000_003 + step


def raster(levels: Any) -> Any:
    """Spikes of these steps, bool (steps, NEURONS)."""
    return (np.arange(NEURONS) * (np.asarray(levels)[:, None] % 97 + 1) % 101) < 3


def call(episode: int, step: int, steps: int) -> dict[str, Any]:
    """The call of ``log`` at this step."""
    number = level(episode, step)
    out: dict[str, Any] = {
        "timestep": step,
        "neural_state": {"v": np.full(20, float(number)), "u": np.full(3, number)},
        "spikes": raster([number])[0],
        "behavior": {"x": float(number)},
    }
    if step > steps // 2:
        out["behavior"]["late"] = step
    if step % 3 == 0:
        out["reward"] = float(step // 30)
    if step % 50 == 0:
        out |= {"event_type": "mark", "data": {"t": step, "text": "ü" * (step % 7)}}
    if step % 20 == 0:
        out |= {"synapse_id": step, "old_weight": float(step), "new_weight": float(number)}
    return out


def main() -> None:
    """Record until killed."""
    from recorder import DataExporter

    folder, acknowledge, steps = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    with acknowledge.open("r+b") as file:
        told = memoryview(mmap.mmap(file.fileno(), 24)).cast("q")
    exporter = DataExporter(
        "run",
        folder,
        neural_sampling_rate={"v": 7},
        ring_bytes=4 << 20,
        chunk_size=1000,
        validate_data=False,
        async_write=sys.argv[4] == "thread",
    )
    print("ready", flush=True)
    episode = 0
    while True:
        exporter.start_episode()
        for step in range(steps):
            exporter.log(**call(episode, step, steps))
            told[0] = step + 1
        exporter.end_episode(success=True, summary={"episode": episode})
        episode += 1
        told[2] = episode
        told[0] = 0
        told[1] = episode


if __name__ == "__main__":
    main()
