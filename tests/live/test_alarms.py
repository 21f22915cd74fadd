"""Alarms go off when they should, once, and again only after all was well."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import LiveExperiment
from loaders.live.alarms import Alarm, no_spikes, not_finite, reward_below, writer_dead
from loaders.live.following import Following
from recorder import DataExporter
from tests.killed import as_killed

Watch = Callable[[Alarm, list[dict[str, Any]]], list[str]]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """What an alarm says while these steps are logged, one look a step."""

    def watched(alarm: Alarm, steps: list[dict[str, Any]]) -> list[str]:
        said = []
        with DataExporter("run", tmp_path, 1) as exporter, LiveExperiment(exporter.h5_path) as live:
            following = Following(exporter.h5_path, history=True)
            exporter.start_episode()
            for step, given in enumerate(steps):
                exporter.log(step, **given)
                said += [alarm(update, live) for update in following.take()]
            following.close()
        return [text for text in said if text]

    return watched


def test_silence(watch: Watch) -> None:
    silent = {"spikes": np.zeros(3, bool)}
    spike = {"spikes": np.array([False, True, False])}
    said = watch(no_spikes(5), [spike, *[silent] * 12, spike, *[silent] * 4, spike, *[silent] * 5])
    assert [text.partition(",")[0] for text in said] == ["no spikes for 5 steps"] * 2


def test_what_is_not_finite(watch: Watch) -> None:
    good, bad = {"neural_state": {"v": np.ones(2)}}, {"neural_state": {"v": np.array([1.0, np.nan])}}
    said = watch(not_finite(), [good, good, bad, bad, good, bad])
    assert said == ["neural_states/v is not finite from timestep 2 of episode 0 on"]
    assert not watch(not_finite("behavior/x"), [bad])


def test_low_rewards(watch: Watch) -> None:
    high, low = {"reward": 1.0}, {"reward": 0.0}
    said = watch(reward_below(0.5, 4), [low, low, *[high] * 4, *[low] * 8, *[high] * 4, *[low] * 4])
    assert len(said) == 2
    assert said[0] == "the mean of 4 rewards is 0.25, below 0.5"


def test_a_dip_between_two_looks(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path) as exporter, LiveExperiment(exporter.h5_path) as live:
        following = Following(exporter.h5_path, history=True)
        exporter.start_episode()
        alarm, said = reward_below(0.5, 10), []
        for dips in (1, 0):
            for step in range(100):
                exporter.log(step, reward=0.0 if dips and 40 <= step < 50 else 1.0)
            said += [alarm(update, live) for update in following.take()]
        following.close()
    assert [text is not None for text in said] == [True, False]


def test_a_dead_writer(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path) as exporter:
        exporter.start_episode()
        exporter.log(0, reward=1.0)
        killed = as_killed(exporter, tmp_path / "killed")
    said: list[str] = []
    with LiveExperiment(killed) as live:
        assert (
            live.watch([writer_dead()], command=f"echo $FLIGHTREC_ALARM > {tmp_path}/ran", tell=said.append)
            == 1
        )
    assert len(said) == 1
    assert "killed: the program that recorded is gone" in said[0]
    while not (tmp_path / "ran").exists() or not (tmp_path / "ran").read_text():
        time.sleep(0.01)
    assert "is gone since" in (tmp_path / "ran").read_text()
    with LiveExperiment(exporter.h5_path) as live:
        assert live.watch([writer_dead()], tell=said.append) == 0
