"""Mixed work to be killed in: everything that is logged follows from (seed, episode, call).

Episodes from one step to thousands, of five kinds: every stream in one call, behaviour alone, spikes as
indices with a stream that has gaps, batches, and calls for events and weight changes of their own; with
checkpoints and metadata between and within them. What had returned is told in :class:`Told`.
"""

from __future__ import annotations

import mmap
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder import DataExporter, SpikeIndices

NEURONS = 50
SAMPLING = 7
BATCH = 64
KINDS = ("full", "lean", "indices", "batch", "sides")
CALLS_PER_STEP = {"sides": 3}
LENGTHS = (1, 5, 60, 60, 400, 400, 3000, 20_000)


@dataclass(frozen=True)
class Plan:
    """One episode: its number, what is logged in it, and how many steps."""

    number: int
    kind: str
    steps: int

    @property
    def calls(self) -> int:
        """Calls that log the whole episode."""
        if self.kind == "batch":
            return -(-self.steps // BATCH)
        return self.steps * CALLS_PER_STEP.get(self.kind, 1)


class Told:
    """What a process had been told was stored, in shared memory: the last word survives its kill.

    A pipe would do as well, but the writing of a pipe takes longer than a step, and most kills would hit
    it instead of the recorder.
    """

    NAMES = (
        *("started", "calls", "ended", "checkpoints", "metadata"),
        *("ready", "operations", "windows", "window_ns", "in_window"),
    )

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, 128)
        self._words = memoryview(self._map).cast("q")

    def __getitem__(self, name: str) -> int:
        return self._words[self.NAMES.index(name)]

    def __setitem__(self, name: str, value: int) -> None:
        self._words[self.NAMES.index(name)] = value

    def counter(self, name: str) -> Callable[[int], None]:
        """A quick way to set one word."""
        words, index = self._words, self.NAMES.index(name)

        def tell(value: int) -> None:
            words[index] = value

        return tell

    def as_dict(self) -> dict[str, int]:
        """All words."""
        return {name: self[name] for name in self.NAMES}


def plan_of(seed: int, number: int, longest: int = LENGTHS[-1]) -> Plan:
    """The episode of this number."""
    chance = random.Random(seed * 1_000_003 + number)
    return Plan(number, chance.choice(KINDS), chance.choice([n for n in LENGTHS if n <= longest]))


def level(number: int, step: Any) -> Any:
    """The number from which everything that is logged at this step follows."""
    return number * 1_000_003 + step


def raster(levels: Any) -> NDArray[np.bool_]:
    """Spikes of these steps, bool (steps, NEURONS)."""
    found: NDArray[np.bool_] = (np.arange(NEURONS) * (np.asarray(levels)[:, None] % 97 + 1) % 101) < 3
    return found


def graded(levels: Any) -> NDArray[np.float32]:
    """Spikes that carry values, float32 (steps, NEURONS)."""
    return (raster(levels) * (np.asarray(levels)[:, None] % 5 + 0.5)).astype(np.float32)


def event_of(step: int) -> dict[str, Any]:
    """An event's data at this step."""
    return {"t": step, "text": "ü" * (step % 7)}


def checkpoint_of(number: int) -> dict[str, Any]:
    """What is checkpointed in this episode."""
    return {"n": number, "w": np.arange(200.0) + number}


def keeps_checkpoint(number: int) -> bool:
    """Whether a checkpoint is saved within this episode."""
    return number % 5 == 2


def record(
    exporter: DataExporter,
    seed: int,
    told: Told,
    episodes: int,
    longest: int = LENGTHS[-1],
    flush_every: int = 0,
) -> None:
    """Record, and tell after every call what it had; with ``flush_every``, after so many calls only."""
    exporter.save_config({"seed": seed, "nested": {"list": [1, 2.5, None, "ü"]}})
    for number in range(episodes):
        plan = plan_of(seed, number, longest)
        told["calls"] = 0
        exporter.start_episode()
        told["started"] = number + 1
        half = plan.calls // 2
        call, tell = _call(exporter, plan), told.counter("calls")
        for index in range(plan.calls):
            call(index)
            if not flush_every:
                tell(index + 1)
            elif index % flush_every == flush_every - 1:
                exporter.flush()
                told["calls"] = index + 1
            if index == half and keeps_checkpoint(number):
                exporter.save_checkpoint(f"c{number}", checkpoint_of(number))
                told["checkpoints"] += 1
        exporter.end_episode(success=True, summary={"episode": number})
        told["ended"] = number + 1
        if number % 7 == 0:
            exporter.save_metadata({"last": number})
            told["metadata"] = number + 1


def _call(exporter: DataExporter, plan: Plan) -> Callable[[int], None]:
    number = plan.number

    def full(step: int) -> None:
        exporter.log(**full_call(number, step, plan.steps))

    def lean(step: int) -> None:
        exporter.log(step, behavior={"x": float(level(number, step))})

    def indices(step: int) -> None:
        value = level(number, step)
        behavior = {"x": float(value)}
        if step % 5 == 0:
            behavior["gap"] = float(step)
        spikes = SpikeIndices(np.flatnonzero(raster([value])[0]), NEURONS)
        exporter.log(step, spikes=spikes, behavior=behavior, reward=float(step))

    def batch(index: int) -> None:
        time = np.arange(index * BATCH, min(plan.steps, (index + 1) * BATCH))
        levels = level(number, time)
        exporter.log_batch(
            time,
            neural_state={"v": np.repeat(levels[:, None], 20, axis=1).astype(float)},
            spikes=graded(levels),
            behavior={"x": levels.astype(float)},
            reward=time.astype(float),
        )

    def sides(index: int) -> None:
        step, which = divmod(index, 3)
        value = float(level(number, step))
        if which == 0:
            exporter.log(step, behavior={"x": value})
        elif which == 1:
            exporter.current_episode.log_event("mark", step, event_of(step))
        else:
            exporter.current_episode.log_weight_change(step, (step, step + 1), float(step), value)

    return {"full": full, "lean": lean, "indices": indices, "batch": batch, "sides": sides}[plan.kind]


def full_call(number: int, step: int, steps: int) -> dict[str, Any]:
    """One call of ``log`` that carries everything there is at this step."""
    value = level(number, step)
    out: dict[str, Any] = {
        "timestep": step,
        "neural_state": {"v": np.full(20, float(value)), "u": np.full(3, value)},
        "spikes": raster([value])[0],
        "behavior": {"x": float(value)},
    }
    if step > steps // 2:
        out["behavior"]["late"] = step
    if step % 3 == 0:
        out["reward"] = float(step // 30)
    if step % 50 == 0:
        out |= {"event_type": "mark", "data": event_of(step)}
    if step % 20 == 0:
        out |= {"synapse_id": step, "old_weight": float(step), "new_weight": float(value)}
    return out
