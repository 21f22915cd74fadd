"""Kill a process that keeps steps and stores some of them; then judge what it left.

Which steps fire follows from a seed, so the judge knows what has to be there: what was captured, and of what
was kept when the process died, the last steps.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from loaders import ExperimentLoader
from recorder import DataExporter, SpikeIndices
from recorder.format.layout import DATA_FILE
from recorder.h5.repair import repair
from recorder.integrations.triggered import Triggered
from tests.crash.harness import ask, fork
from tests.crash.storage import Told

NEURONS = 50


@dataclass(frozen=True)
class Flight:
    """A recording that will be killed ``delay`` seconds after so many steps."""

    seed: int
    before: int
    after: int
    one_in: int
    """Steps of which one fires, on average."""
    lengths: int
    """Steps of an episode, on average."""
    after_steps: int
    delay: float
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def at_random(cls, seed: int) -> Flight:
        """All of it, drawn."""
        chance = random.Random(seed)
        options = {
            "async_write": chance.random() < 0.5,
            "ring_bytes": chance.choice([2 << 20, 8 << 20]),
            "chunk_size": chance.choice([100, 10_000]),
            "durability": chance.choice(["process"] * 9 + ["fsync"]),
            "enable_swmr": chance.random() < 0.2,
            "flush_interval": 0.02,
        }
        return cls(
            seed,
            before=chance.choice([1, 20, 500]),
            after=chance.choice([0, 10, 300]),
            one_in=chance.choice([5, 300, 5000]),
            lengths=chance.choice([50, 2000, 1_000_000]),
            after_steps=chance.randrange(6000),
            delay=chance.random() * 0.01,
            options=options,
        )

    def fires(self, episode: int, step: int) -> bool:
        """Whether this step fires."""
        return _draw(self.seed, episode, step) % self.one_in == 0

    def ends(self, episode: int, step: int) -> bool:
        """Whether an episode ends with this step."""
        return _draw(self.seed + 1, episode, step) % self.lengths == 0


def _draw(*what: int) -> int:
    mixed = 0
    for one in what:
        mixed = ((mixed ^ one) * 0x9E3779B97F4A7C15 + 0x7F4A7C15) & (2**64 - 1)
        mixed ^= mixed >> 29
    return mixed


def work(folder: Path, flight: Flight, told: Told) -> None:
    """Step after step, until killed."""
    exporter = DataExporter("run", folder, 1, validate_data=False, **flight.options)
    capture = Triggered(exporter, flight.before, flight.after)
    episode = 0
    while True:
        capture.start_episode()
        step = 0
        while not (step and flight.ends(episode, step - 1)):
            event = {"event_type": "seen", "data": {"at": step}} if step % 7 == 0 else {}
            spikes = SpikeIndices([step % NEURONS], n_neurons=NEURONS) if step % 3 else None
            capture.log(step, {"v": np.full(20, float(step))}, spikes, {"x": step}, **event)
            if flight.fires(episode, step):
                capture.trigger()
            step += 1
            told.words[1] += 1
            told.words[0] = step
        told.words[0] = -1  # ending
        capture.end_episode()
        episode += 1
        told.words[2], told.words[0] = episode, 0


def wanted(flight: Flight, episode: int, steps: int) -> tuple[list[int], list[int]]:
    """What is captured of so many steps, and what is kept after them."""
    stored: list[int] = []
    kept: list[int] = []
    left = 0
    for step in range(steps):
        if left:
            stored.append(step)
            left -= 1
        else:
            kept = [*kept, step][-flight.before :]
        if flight.fires(episode, step):
            stored, kept, left = stored + kept, [], flight.after
    return stored, kept


def fly(flight: Flight) -> dict[str, Any]:
    """Log, kill, judge; returns ``steps`` compared and ``error``."""
    folder, told = Path(tempfile.mkdtemp(prefix="flightrec-capture-")), Told()
    try:
        child = fork(lambda: work(folder, flight, told))
        while told.words[1] < flight.after_steps:
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            time.sleep(0.0005)
        time.sleep(flight.delay)
        os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != -signal.SIGKILL:
            return {"error": f"recording ended with {code}"}
        step, episode = told.words[0], told.words[2]
        return ask(lambda: judge(folder, flight, episode, step))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def judge(folder: Path, flight: Flight, episode: int, step: int) -> dict[str, Any]:
    """Compare the last episodes with what has to be there; ``step`` -1: one was ending."""
    (path,) = folder.glob(f"*/{DATA_FILE}")
    repair(path)
    compared = 0
    with ExperimentLoader(path) as loader:
        there = loader.list_episodes()
        if episode not in there:
            assert step == 0, f"episode {episode} is missing"
        for number in there[-3:]:
            found = loader.get_episode(number)
            times = found.get_behavior()["timesteps"].tolist() if found.get_behavior() else []
            if number < episode or step < 0:
                length = next(n for n in range(1, 1 << 60) if flight.ends(number, n - 1))
                stored, kept = wanted(flight, number, length)
                # While it ends, what is kept is let go, the oldest steps first.
                rest = kept if number == episode else []
                options = [stored + kept[n:] for n in range(len(kept) - len(rest), len(kept) + 1)]
                if number < episode:
                    options = [stored]
            else:
                options = [
                    [*stored, *kept] for stored, kept in (wanted(flight, number, n) for n in (step, step + 1))
                ]
            assert times in options, (number, step, times[-5:], [o[-5:] for o in options[:3]])
            compared += check(found, times)
    return {"steps": compared}


def check(found: Any, times: list[int]) -> int:
    """Every stream has the same steps, with what was logged at them."""
    if times:
        states = found.get_neural_states()
        assert states["timesteps"].tolist() == times
        assert (states["v"] == np.array(times)[:, None]).all()
        assert found.get_behavior()["x"].tolist() == times
        spikes = found.get_spikes() or {"timesteps": np.empty(0), "neuron_ids": np.empty(0)}
        assert spikes["timesteps"].tolist() == [t for t in times if t % 3]
        assert spikes["neuron_ids"].tolist() == [t % NEURONS for t in times if t % 3]
        seen = found.get_events().get("seen", {"timesteps": np.empty(0)})
        assert seen["timesteps"].tolist() == [t for t in times if t % 7 == 0]
    return len(times)
