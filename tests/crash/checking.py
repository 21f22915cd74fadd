"""What a killed recording must hold, by what its process had acknowledged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from loaders import EpisodeData, ExperimentLoader
from recorder.format.layout import COMPLETED, RECOVERED
from tests.crash.child import level, raster


def check_recovered(path: Path, acknowledged: tuple[int, int, int], steps: int) -> int:
    """Every acknowledged step is there, bit for bit; returns how many steps there are in all."""
    logged, running, ended = acknowledged
    total = 0
    with ExperimentLoader(path) as loader:
        assert loader.status == RECOVERED
        episodes = loader.list_episodes()
        assert len(episodes) >= ended + (logged > 0)
        for number in episodes:
            episode = loader.get_episode(number)
            count = episode.get_metadata()["total_timesteps"]
            if number < ended:
                assert episode.status == COMPLETED
                assert count == steps
                assert loader.get_episode_summary(number)["episode"] == number
            if number == running:
                assert count >= logged, f"{count} of {logged} acknowledged steps"
            check_episode(episode, number, count, steps)
            total += count
    return total


def check_episode(episode: EpisodeData, number: int, count: int, steps: int) -> None:
    """The first ``count`` steps of an episode, whole."""
    time = np.arange(count)
    levels = level(number, 0) + time
    if not count:
        return
    neural, behavior = episode.get_neural_states(), episode.get_behavior()
    assert np.array_equal(neural["u"], np.repeat(levels[:, None], 3, axis=1))
    assert np.array_equal(neural["timesteps"], time)
    assert np.array_equal(neural["v"], np.repeat(levels[::7, None], 20, axis=1).astype(float))
    assert np.array_equal(behavior["x"], levels.astype(float))
    late = time[steps // 2 + 1 :]
    assert np.array_equal(behavior.get("late", late[:0]), late)
    assert np.array_equal(behavior.get("late_timesteps", late[:0]), late)
    assert np.array_equal(episode.get_spike_raster(), raster(levels))
    rewards = episode.get_rewards()
    assert np.array_equal(rewards["timesteps"], time[::3])
    assert np.array_equal(rewards["rewards"], (time[::3] // 30).astype(float))
    changes = episode.get_weight_changes()
    assert np.array_equal(changes["synapse_ids"], time[::20])
    assert np.array_equal(changes["new_weights"], levels[::20].astype(float))
    events = list(episode.iter_events())
    assert events == [(t, "mark", {"t": t, "text": "ü" * (t % 7)}) for t in time[::50].tolist()]
