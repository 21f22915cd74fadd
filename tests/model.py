"""What a recording holds, as plain lists: the model that the state machine compares with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recorder import SpikeIndices

NEURONS = 6
RATES = {"v": 3}
ODD = [0.0, -0.0, 1.5, float("nan"), float("-inf"), 5e-324]
FORMS: dict[str, Callable[[int], Any]] = {
    "bool": lambda seed: np.arange(NEURONS) * seed % 7 == 1,
    "graded": lambda seed: np.where(np.arange(NEURONS) * seed % 7 == 1, seed, -0.0 * (seed % 2)).astype("f4"),
    "indices": lambda seed: SpikeIndices(np.flatnonzero(np.arange(NEURONS) * seed % 7 == 1), NEURONS),
}


@dataclass
class Episode:
    """One episode: every row that a call brought and sampling kept, in order."""

    number: int
    form: str
    step: int = -5
    calls: int = 0
    streams: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    spikes: list[tuple[int, Any]] = field(default_factory=list)
    rewards: list[tuple[int, float]] = field(default_factory=list)
    weights: list[tuple[int, int, float, float]] = field(default_factory=list)
    events: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    static: dict[str, Any] = field(default_factory=dict)
    end: dict[str, Any] | None = None
    due: dict[str, int] = field(default_factory=dict)

    def log(self, call: dict[str, Any]) -> None:
        """Take one call."""
        self.step = step = call["timestep"]
        data = {"neural_state", "behavior", "spikes", "reward"} & call.keys()
        self.calls += bool(data) or not {"synapse_id", "event_type"} & call.keys()
        for group, argument in (("neural_states", "neural_state"), ("behavior", "behavior")):
            for key, value in call.get(argument, {}).items():
                rate = RATES.get(key, 1) if group == "neural_states" else 1
                if rate == 1 or step >= self.due.get(key, 0):
                    self.due[key] = step + rate
                    self.streams.setdefault(f"{group}/{key}", []).append((step, np.array(value)))
        if "spikes" in call:
            self.spikes.append((step, dense(call["spikes"])))
        if "reward" in call:
            self.rewards.append((step, call["reward"]))
        if "synapse_id" in call:
            self.weights.append((step, call["synapse_id"], call["old_weight"], call["new_weight"]))
        if "event_type" in call:
            self.events.append((step, call["event_type"], call["data"]))


@dataclass
class Model:
    """A recording."""

    episodes: dict[int, Episode] = field(default_factory=dict)
    running: Episode | None = None
    config: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    checkpoints: list[tuple[str, Any]] = field(default_factory=list)
    weights: Any = None

    def next_id(self) -> int:
        """The id of an episode that is given none."""
        number = len(self.episodes)
        while number in self.episodes:
            number += 1
        return number

    def start(self, number: int, form: str) -> None:
        """Start an episode; one that runs ends."""
        if self.running:
            self.end(False, None)
        self.running = self.episodes[number] = Episode(number, form)

    def end(self, success: bool, summary: dict[str, Any] | None) -> None:
        """End the episode that runs."""
        assert self.running is not None
        self.running.end = {"success": success, "summary": summary or {}}
        self.running = None


def call_of(episode: Episode, seed: int, streams: int, gap: int) -> dict[str, Any]:
    """A call that brings the streams whose bits are set."""
    rng = np.random.default_rng(seed)
    call: dict[str, Any] = {"timestep": episode.step + gap}
    neural = {"v": rng.random(3), "w": rng.random((2, 2), np.float32)}
    behavior = {"x": ODD[seed % len(ODD)], "n": seed, "c": complex(0.0, -0.0), "late": rng.random() < 0.5}
    if streams & 1:
        call["neural_state"] = neural if streams & 2 else {"v": neural["v"]}
    elif streams & 2:
        call["neural_state"] = {"w": neural["w"]}
    if streams & 4:
        call["behavior"] = {k: v for k, v in behavior.items() if streams & 8 or k in ("x", "n")}
    if streams & 16:
        call["spikes"] = FORMS[episode.form](seed)
    if streams & 32:
        call["reward"] = ODD[seed // 5 % len(ODD)]
    if streams & 64:
        call |= {"synapse_id": seed, "old_weight": ODD[seed % len(ODD)], "new_weight": float(seed)}
    if streams & 128:
        call |= {"event_type": "e" * (1 + seed % 3), "data": {"seed": seed, "text": "ü" * (seed % 50)}}
    return call


def dense(spikes: Any) -> Any:
    """Spikes as a row of the raster."""
    if not isinstance(spikes, SpikeIndices):
        return spikes
    row = np.zeros(NEURONS, np.bool_)
    row[spikes.indices] = True
    return row
