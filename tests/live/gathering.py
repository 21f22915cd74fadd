"""What updates brought, put together as the loader returns it from the finished file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from loaders import ExperimentLoader, Update
from recorder.h5.source import weight_columns


class Gathered:
    """All updates of a recording, by episode."""

    def __init__(self) -> None:
        self.updates: dict[int, list[Update]] = {}

    def add(self, updates: Iterable[Update]) -> None:
        """Take updates."""
        for update in updates:
            self.updates.setdefault(update.episode_id, []).append(update)

    def contents(self) -> dict[int, dict[str, Any]]:
        """Every stream of every episode."""
        return {episode: _joined(updates) for episode, updates in self.updates.items()}


def _joined(updates: list[Update]) -> dict[str, Any]:
    parts: dict[str, list[Any]] = {}

    def add(name: str, array: Any) -> None:
        parts.setdefault(name, []).append(array)

    for update in updates:
        for name, samples in update.streams.items():
            add(name, samples.values)
            add(f"{name} at", samples.timesteps)
        if update.rewards is not None:
            add("rewards", update.rewards.values)
            add("rewards at", update.rewards.timesteps)
        for name, array in update.spikes.items():
            add(f"spikes {name}", array)
        if len(update.spike_timesteps):
            fired = update.spike_timesteps[update.spike_rows]
            np.testing.assert_array_equal(fired, update.spikes["timesteps"])
            add("spike rows", update.spike_timesteps)
        for name, array in update.weight_changes.items():
            add(f"weights {name}", array)
    found: dict[str, Any] = {name: np.concatenate(arrays) for name, arrays in sorted(parts.items())}
    found["events"] = [event for update in updates for event in update.events]
    found["begins"] = [update.begins for update in updates].count(True)
    found["ends"] = [update.ends for update in updates].count(True)
    assert not updates or updates[0].begins
    return found


def stored(path: Path) -> dict[int, dict[str, Any]]:
    """The same from a file that nobody writes."""
    out: dict[int, dict[str, Any]] = {}
    with ExperimentLoader(path) as loader:
        for number in loader.list_episodes():
            episode = loader.get_episode(number)
            found: dict[str, Any] = {}
            for name in episode.streams:
                stream = episode.stream(name)
                if len(stream):
                    found[name], found[f"{name} at"] = stream.read(), stream.timesteps
            rewards = episode.get_rewards()
            if rewards:
                found["rewards"], found["rewards at"] = rewards["rewards"], rewards["timesteps"]
            if len(episode.spike_timesteps()):
                found |= {f"spikes {name}": array for name, array in episode.get_spikes().items()}
                found["spike rows"] = episode.spike_timesteps()
            weights = weight_columns(episode._stored())
            found |= {f"weights {name}": array for name, array in weights.items()}
            found = dict(sorted(found.items()))
            found["events"] = list(episode.iter_events())
            found["begins"] = found["ends"] = 1
            out[number] = found
    return out
