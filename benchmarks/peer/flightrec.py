"""flightrec through its public interface: README.md, "Quick start"; read back by ``ExperimentLoader``.

Index lists come with ``spike_format="indices"``, all else is as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from loaders import ExperimentLoader
from peer.protocol import Part, Rows
from peer.work import Work
from recorder import DataExporter


class Recorder:
    """An exporter with its defaults."""

    OPTIONS: ClassVar[dict[str, Any]] = {}

    def __init__(self, folder: Path, work: Work) -> None:
        options: dict[str, Any] = {"neural_sampling_rate": work.sampling, **self.OPTIONS}
        if work.spikes_as == "indices":
            options |= {"spike_format": "indices", "n_neurons": work.neurons}
        self.exporter = DataExporter("peers", output_base_dir=str(folder), **options)
        self.start_episode = self.exporter.start_episode
        self.close = self.exporter.close

    def end_episode(self) -> None:
        """End it as a success."""
        self.exporter.end_episode(success=True)


def drive(recorder: Recorder, rows: Rows) -> None:
    """The loop of a program that uses flightrec, its dictionaries built anew in each step."""
    exporter = recorder.exporter
    for t, v, spikes, x, y, reward in rows:
        exporter.log(
            timestep=t, neural_state={"v": v}, spikes=spikes, behavior={"x": x, "y": y}, reward=reward
        )


def read(folder: Path) -> Iterator[Part]:
    """Episode by episode."""
    (recording,) = [path for path in folder.iterdir() if path.is_dir()]
    with ExperimentLoader(recording) as experiment:
        for number in experiment.list_episodes():
            episode = experiment.get_episode(number)
            behavior, rewards = episode.get_behavior(), episode.get_rewards()
            spikes, states = episode.get_spikes(), episode.get_neural_states()
            if not behavior or not rewards:
                continue
            counts = np.bincount(spikes["timesteps"], minlength=len(behavior["x"])) if spikes else None
            yield Part(
                counts=counts,
                neurons=spikes.get("neuron_ids"),
                x=behavior["x"],
                y=behavior["y"],
                reward=rewards["rewards"],
                v=states.get("v"),
            )
