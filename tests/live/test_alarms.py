"""Alarms go off when they should, once, and again only after all was well."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from loaders import LiveExperiment, Samples, Update
from loaders.live.alarms import Alarm, no_spikes, not_finite, reward_below, writer_dead
from loaders.live.following import Following
from loaders.live.means import MeansInARow
from recorder import DataExporter, OptionError
from tests.killed import as_killed

Watch = Callable[[Alarm, list[dict[str, Any]]], list[str]]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """What an alarm says while these steps are logged, one look a step."""

    def watched(alarm: Alarm, steps: list[dict[str, Any]]) -> list[str]:
        said: list[str] = []
        with DataExporter("run", tmp_path, 1) as exporter, LiveExperiment(exporter.h5_path) as live:
            following = Following(exporter.h5_path, history=True)
            exporter.start_episode()
            for step, given in enumerate(steps):
                exporter.log(step, **given)
                said += [text for update in following.take() for text in alarm(update, live) or ()]
            following.close()
        return said

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
    assert said[0] == "the mean of 4 rewards is 0.25, below 0.5, at timestep 8 of episode 0"


def cut(rows: int, places: list[int]) -> list[slice]:
    ends = [*sorted({place for place in places if 0 < place < rows}), rows]
    return [slice(low, high) for low, high in zip([0, *ends], ends, strict=False)]


ROWS = 60
EPISODE = 25
"""Rows of an episode; timesteps come twice, and begin anew with every other."""


def updates(values: list[float], places: list[int]) -> list[Update]:
    """A neuron that fires where a reward is above 0, in updates that end at these rows."""
    found = []
    for part in cut(len(values), [*places, *range(0, len(values), EPISODE)]):
        episode, first = divmod(part.start, EPISODE)
        steps = np.arange(first, first + part.stop - part.start) // 2
        given = np.array(values[part])
        fired = np.flatnonzero(given > 0)
        found.append(
            Update(
                episode,
                streams={"behavior/x": Samples(steps, given[:, None])},
                rewards=Samples(steps, given),
                spikes={"timesteps": steps[fired], "neuron_ids": np.zeros(len(fired), np.int64)},
                spike_timesteps=steps,
                spike_rows=fired,
                n_neurons=1,
            )
        )
    return found


def all_said(alarm: Alarm, values: list[float], places: list[int]) -> list[str]:
    live: Any = None
    return [text for update in updates(values, places) for text in alarm(update, live) or ()]


VALUES = st.lists(
    st.sampled_from([0.0, 0.0, -0.1, 0.1, 1e300, -1e300, float("nan"), float("inf")]),
    min_size=1,
    max_size=ROWS,
)


@settings(deadline=None)
@given(VALUES, st.lists(st.integers(1, ROWS - 1)), st.integers(1, 12))
def test_what_alarms_say_depends_on_no_cuts(values: list[float], places: list[int], steps: int) -> None:
    makers = (lambda: no_spikes(steps), lambda: reward_below(0.01, steps), not_finite)
    for make in makers:
        each = all_said(make(), values, list(range(ROWS)))
        assert all_said(make(), values, places) == each
    silences = "".join("x" if value > 0 else "." for value in values)
    expected = [len(silence) >= steps for silence in silences.split("x")]
    assert len(all_said(no_spikes(steps), values, places)) == sum(expected)


@given(st.lists(st.integers(-9, 9) | st.just(float("nan")), max_size=40), st.lists(st.integers(1, 39)))
def test_means_in_a_row(values: list[float], places: list[int]) -> None:
    for steps in (1, 3, 7, 41):
        means = MeansInARow(steps)
        found = [mean for part in cut(len(values), places) for mean in means.after(np.array(values[part]))]
        windows = [values[low : low + steps] for low in range(len(values) - steps + 1)]
        assert_array_equal(found, [np.sum(window) / steps for window in windows])


def test_arguments_that_no_alarm_can_have() -> None:
    for steps in (0, -1, 2.5, "3", True):
        for make in (no_spikes, lambda steps: reward_below(0.5, steps)):
            with pytest.raises(OptionError, match="a whole number from 1 on"):
                make(steps)
    with pytest.raises(OptionError, match="level"):
        reward_below(float("nan"))


def test_texts_of_several_are_told_one_by_one(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path) as exporter:
        exporter.start_episode()
        exporter.log(0, reward=1.0)
    said: list[str] = []
    with LiveExperiment(exporter.h5_path) as live:
        alarms: list[Alarm] = [lambda *_: ["a", "b"], lambda *_: "c", lambda *_: None, lambda *_: ()]
        assert live.watch(alarms, tell=said.append) == 3
    assert [text[-1] for text in said] == ["a", "b", "c"]


def test_what_began_and_ended_within_an_update() -> None:
    values = [1.0] * 5 + [-1.0] * 8 + [1.0] * 7 + [-1.0] * 6 + [1.0] * 9
    assert all_said(no_spikes(6), values, []) == [
        "no spikes for 6 steps, at timestep 5 of episode 0",
        "no spikes for 6 steps, at timestep 0 of episode 1",
    ]
    assert len(all_said(reward_below(-0.9, 6), values, [])) == 2


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
