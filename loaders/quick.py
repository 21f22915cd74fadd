"""One episode as plain dicts, in one call."""

from __future__ import annotations

import os
from typing import Any

from loaders.experiment import ExperimentLoader


def quick_load(experiment_dir: str | os.PathLike[str], episode_id: int = 0) -> dict[str, Any]:
    """Everything about a recording and one of its episodes, read whole.

    Returns
    -------
    dict
        ``{'experiment': {'metadata', 'config', 'network'}, 'episode': {'metadata', 'neural_states',
        'spikes' (one entry per timestep), 'behavior', 'rewards', 'weight_changes', 'events',
        'final_state'}}``, each as the method of :class:`ExperimentLoader` or :class:`EpisodeData` of
        that name returns it.

    Raises
    ------
    FileNotFoundError, ReadError
        As :class:`ExperimentLoader`.
    ValueError
        There is no episode with this id.
    """
    with ExperimentLoader(experiment_dir) as loader:
        episode = loader.get_episode(episode_id)
        return {
            "experiment": {
                "metadata": loader.get_metadata(),
                "config": loader.get_config(),
                "network": loader.get_network_structure(),
            },
            "episode": {
                "metadata": episode.get_metadata(),
                "neural_states": episode.get_neural_states(),
                "spikes": episode.get_spikes_as_events(),
                "behavior": episode.get_behavior(),
                "rewards": episode.get_rewards(),
                "weight_changes": episode.get_weight_changes(),
                "events": episode.get_events(),
                "final_state": episode.get_final_state(),
            },
        }
