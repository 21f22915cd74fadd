"""A recording with one of everything, small, for the adapters to take elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recorder import DataExporter

STEPS, N = 60, 5


def record(folder: Path, episodes: int = 3) -> Path:
    """Episodes of growing length: streams of several shapes and clocks, spikes, rewards, weights, events."""
    rng = np.random.default_rng(7)
    with DataExporter("small", output_base_dir=str(folder), neural_sampling_rate={"v": 1, "slow": 10}) as out:
        out.save_metadata({"lab": "ours", "subject": {"kind": "model"}})
        out.save_config({"dt": 0.001, "layers": [1, 2]})
        out.save_network_structure(
            {"neuron_ids": np.arange(N) + 100, "neuron_types": ["exc"] * 3 + ["inh"] * 2},
            {"source_ids": np.array([0, 1, 2]), "target_ids": np.array([1, 2, 0])},
            np.array([0.5, 0.25, 0.125]),
        )
        for episode in range(episodes):
            out.start_episode()
            for step in range(100, 100 + STEPS + episode):
                out.log(
                    timestep=step,
                    neural_state={"v": rng.random(N, np.float32), "slow": rng.random((2, 3))},
                    spikes=rng.random(N) < 0.3 * (np.arange(N) != 3),
                    behavior={"x": float(rng.normal()), "image": rng.integers(0, 255, (2, 2), np.uint8)},
                    reward=float(step % 7 == 0),
                )
                if step % 3:  # misses rows, so that it has a clock of its own
                    out.log(timestep=step, behavior={"rare": step % 2 == 0})
                if step % 20 == 0:
                    out.log(timestep=step, synapse_id=1, old_weight=0.5, new_weight=step / 7, rule=step % 3)
                    out.log(timestep=step, event_type="cue", data={"side": "left", "at": np.arange(2)})
            out.end_episode(success=episode > 0, summary={"score": episode / 3})
    return Path(out.output_dir)
