"""A writer and its readers as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader, LiveExperiment, NotRunningError
from recorder.h5.reading.handle import FRESH_SECONDS
from tests.comparing import assert_same
from tests.live.gathering import Gathered, stored
from tests.live.writer import NEURONS, call

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program that records episodes of so many steps, with a pause after each step, and that
    waits before a step, where one is given, until its standard input is closed."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(episodes: int, steps: int, pause: float, *held: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.live.writer", tmp_path, episodes, steps, pause, *held]
        started.append(subprocess.Popen(list(map(str, command)), cwd=ROOT, stdin=subprocess.PIPE))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def check_rows(found: dict[str, Any], episode: int) -> None:
    """Rows are whole, in order and none is missing between the first and the last."""
    steps = found["behavior/x at"]
    assert np.array_equal(steps, np.arange(len(steps)))
    assert np.array_equal(found["behavior/x"], steps + 0.25)
    assert (found["behavior/episode"] == episode).all()
    assert np.array_equal(found["rewards"], steps // 10)
    kept = found["neural_states/v at"]
    assert np.array_equal(kept, np.arange(0, len(steps), 5))
    assert np.array_equal(
        found["neural_states/v"], np.repeat(1e6 * episode + kept, NEURONS).reshape(-1, NEURONS)
    )
    fired = np.flatnonzero(np.concatenate([call(episode, int(step))["spikes"] for step in steps]))
    assert np.array_equal(found["spikes timesteps"], fired // NEURONS)
    assert np.array_equal(found["spikes neuron_ids"], fired % NEURONS)


def test_every_row_across_two_hundred_episodes(start: Start, tmp_path: Path) -> None:
    writer = start(200, 100, 0.0)
    gathered = Gathered()
    with LiveExperiment(tmp_path, wait=60) as live:
        gathered.add(live.follow(history=True))
        assert writer.wait() == 0
        assert_same(gathered.contents(), stored(live.h5_path))
        assert len(gathered.updates) == 200
        assert live.status().state == "completed"
        assert live.status().steps == 200 * 100
        assert not live.running


def test_a_reader_that_sleeps_misses_nothing(start: Start, tmp_path: Path) -> None:
    writer = start(3, 60_000, 0.0)
    gathered = Gathered()
    with LiveExperiment(tmp_path, wait=60) as live:
        for update in live.follow(history=True):
            gathered.add([update])
            if len(gathered.updates) <= 2:
                time.sleep(0.05)
        assert writer.wait() == 0
        found = gathered.contents()
        for episode in range(3):
            assert len(found[episode]["behavior/x"]) == 60_000
            check_rows(found[episode], episode)
        assert_same(found, stored(live.h5_path))


def test_a_killed_writer_ends_what_is_followed(start: Start, tmp_path: Path) -> None:
    writer = start(5, 700, 0.0005, "1:650")
    gathered = Gathered()
    with LiveExperiment(tmp_path, wait=60) as live:
        for update in live.follow(history=True):
            gathered.add([update])
            if update.episode_id == 1 and (update.last_timestep or 0) > 20:
                writer.send_signal(signal.SIGKILL)
        assert not live.running
        status = live.status()
        assert (status.state, status.alive) == ("killed", False)
        found = gathered.contents()
        last = max(found)
        assert found[last]["ends"] == 0
        check_rows(found[last], last)
        # The first read of its data repairs it; not a row more or less than was followed.
        with ExperimentLoader(live.h5_path) as loader:
            assert loader.status == "recovered"
        found[last]["ends"] = 1
        assert_same(found, stored(live.h5_path))
        assert live.status().state == "recovered"


def test_the_newest_rows_of_a_slow_simulation(start: Start, tmp_path: Path) -> None:
    start(1, 100_000, 0.001)
    with LiveExperiment(tmp_path, wait=60) as live:
        seen = 0
        for update in live.follow(timeout=60):
            seen = max(seen, update.last_timestep or 0)
            if seen > 100:
                break
        time.sleep(FRESH_SECONDS)
        tail = live.tail("neural_states/v", 100)
        assert tail.timesteps[-1] >= seen - 5
        assert np.array_equal(tail.timesteps, np.arange(tail.timesteps[0], tail.timesteps[-1] + 1, 5))
        assert np.array_equal(tail.values, np.repeat(tail.timesteps, NEURONS).reshape(-1, NEURONS))
        spikes = live.spikes(50)
        assert spikes["timesteps"].max() >= seen
        assert all(call(0, int(t))["spikes"][n] for t, n in zip(*spikes.values(), strict=True))
        rewards = live.rewards(30)
        assert len(rewards.timesteps) == 30
        assert rewards.timesteps[-1] >= seen
        status = live.status()
        assert (status.state, status.alive, status.episode_id) == ("running", True, 0)
        assert status.steps > seen
        assert status.lag_steps <= status.steps
        with pytest.raises(KeyError, match="behavior/x"):
            live.tail("behavior/y")


def test_waiting_for_what_does_not_come(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="no recording"):
        LiveExperiment(tmp_path, wait=0.1)


def test_readers_may_die_and_stop(start: Start, tmp_path: Path) -> None:
    """Whatever becomes of them, the writer ends well and the file is whole."""
    script = (
        "import sys; from loaders import LiveExperiment\n"
        "with LiveExperiment(sys.argv[1], wait=60) as live:\n"
        "    for update in live.follow(history=True): print(update.last_timestep, flush=True)\n"
    )
    writer = start(30, 2_000, 0.0, "15:1000")
    readers = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for reader in readers:
        assert reader.stdout is not None
        reader.stdout.readline()
    readers[0].kill()
    os.kill(readers[1].pid, signal.SIGSTOP)
    assert writer.stdin is not None
    writer.stdin.close()
    assert readers[2].communicate()[0]
    assert writer.wait() == 0
    os.kill(readers[1].pid, signal.SIGCONT)
    assert readers[1].communicate()[0]
    readers[0].communicate()
    assert [reader.returncode for reader in readers] == [-signal.SIGKILL, 0, 0]
    (path,) = tmp_path.glob("*/experiment_data.h5")
    found = stored(path)
    assert len(found) == 30
    for episode in found:
        assert len(found[episode]["behavior/x"]) == 2_000
