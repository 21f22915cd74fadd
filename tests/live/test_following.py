"""Every row comes once and as it was logged, however the looks at a recording fall between its steps."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loaders import DamagedError, LiveExperiment, NotRunningError, ReadError
from loaders.live import following as following_module
from loaders.live.following import Following
from recorder import DataExporter, OptionError, SpikeIndices
from recorder.integrations.triggered import Triggered
from tests.comparing import assert_same
from tests.live.gathering import Gathered, stored

pytestmark = pytest.mark.usefixtures("each_hot_path")

NEURONS = 6
SEGMENT = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 150),
        "keys": st.sets(st.sampled_from(["x", "y"])),
        "state": st.booleans(),
        "spikes": st.booleans(),
        "side": st.booleans(),
        "look_every": st.sampled_from([0, 1, 7, 60]),
        "end": st.sampled_from([False, False, True]),
    }
)
FORMS = ("bool", "graded", "indices")


def call(step: int, segment: dict[str, Any], form: str) -> dict[str, Any]:
    given: dict[str, Any] = {"timestep": step, "reward": float(step // 20)}
    if segment["state"]:
        given["neural_state"] = {"v": np.arange(NEURONS) * 0.5 + step, "w": np.float32(step)}
    if segment["keys"]:
        given["behavior"] = dict.fromkeys(sorted(segment["keys"]), step * 0.25)
    if segment["spikes"]:
        fired = np.arange(NEURONS) % 4 == step % 4
        forms = {
            "bool": fired,
            "graded": fired * (1.0 + step),
            "indices": SpikeIndices(np.flatnonzero(fired), NEURONS),
        }
        given["spikes"] = forms[form]
    if segment["side"] and step % 5 == 0:
        given |= {"synapse_id": step, "old_weight": 0.0, "new_weight": 1.0}
    if segment["side"] and step % 7 == 0:
        given |= {"event_type": "a", "data": {"step": step, "text": "ü" * (step % 40)}}
    return given


@pytest.mark.parametrize("form", FORMS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
@given(st.lists(SEGMENT, min_size=1, max_size=6), st.sampled_from([1 << 11, 1 << 14]), st.booleans())
def test_all_rows_come_once(
    monkeypatch: pytest.MonkeyPatch, form: str, segments: list[dict[str, Any]], block: int, eager: bool
) -> None:
    for name in ("recorder.sizes.FIRST_BLOCK", "recorder.sizes.LARGEST_BLOCK"):
        monkeypatch.setattr(name, block)
    monkeypatch.setattr("recorder.writer.ENOUGH", 1)
    monkeypatch.setattr("loaders.live.update.MOST_ROWS", 50)
    gathered = Gathered()
    with tempfile.TemporaryDirectory() as folder:
        # enable_swmr: what fills no chunk is in the file as well.
        exporter = DataExporter("run", folder, {"v": 1, "w": 3}, chunk_size=10, enable_swmr=eager)
        following = Following(exporter.h5_path, history=True)
        if eager:
            gathered.add(following.take())
        exporter.start_episode()
        step = 0
        for segment in segments:
            for _ in range(segment["rows"]):
                exporter.log(**call(step, segment, form))
                if segment["look_every"] and step % segment["look_every"] == 0:
                    gathered.add(following.take())
                step += 1
            if segment["end"]:
                exporter.end_episode(success=True)
                exporter.start_episode()
        exporter.end_episode(success=True)
        exporter.close()
        while not following.over:
            gathered.add(following.take())
        following.close()
        assert_same(gathered.contents(), stored(exporter.h5_path))


@pytest.mark.parametrize("form", FORMS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=8)
@given(
    st.lists(SEGMENT, min_size=1, max_size=6),
    st.integers(1, 40),
    st.integers(0, 40),
    st.sampled_from([1 << 11, 1 << 14]),
)
def test_what_is_captured_comes_once(
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    segments: list[dict[str, Any]],
    before: int,
    after: int,
    block: int,
) -> None:
    for name in ("recorder.sizes.FIRST_BLOCK", "recorder.sizes.LARGEST_BLOCK"):
        monkeypatch.setattr(name, block)
    monkeypatch.setattr("recorder.writer.ENOUGH", 1)
    gathered = Gathered()
    with tempfile.TemporaryDirectory() as folder:
        exporter = DataExporter("run", folder, 1, chunk_size=10)
        capture = Triggered(exporter, before, after)
        following = Following(exporter.h5_path, history=True)
        capture.start_episode()
        step = 0
        for segment in segments:
            for _ in range(segment["rows"]):
                capture.log(**call(step, segment, form))
                if segment["look_every"] and step % segment["look_every"] == 0:
                    gathered.add(following.take())
                step += 1
            capture.trigger()
            if segment["end"]:
                capture.end_episode(success=True)
                capture.start_episode()
        capture.end_episode(success=True)
        exporter.close()
        while not following.over:
            gathered.add(following.take())
        following.close()
        assert_same(gathered.contents(), stored(exporter.h5_path))


def test_rows_are_there_at_once(tmp_path: Path) -> None:
    """Nothing waits for a block to fill."""
    with DataExporter("run", tmp_path) as exporter:
        exporter.start_episode()
        exporter.log(0, behavior={"x": 0.0})
        following = Following(exporter.h5_path, history=False)
        for step in range(1, 50):
            exporter.log(step, behavior={"x": float(step)})
            (update,) = following.take()
            assert update.streams["behavior/x"].timesteps.tolist() == [step]
            assert update.streams["behavior/x"].values.tolist() == [step]
            assert not update.begins
            assert not list(following.take())
        following.close()


def test_now_is_when_it_is_asked_for(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path) as exporter, LiveExperiment(exporter.h5_path) as live:
        exporter.start_episode()
        exporter.log(0, reward=0.0)
        updates = live.follow()
        exporter.log(1, reward=1.0)
        assert next(updates).rewards.timesteps.tolist() == [1]


@pytest.mark.parametrize("wait", [-1, float("nan"), "5"])
def test_nobody_waits_for_ever_by_mistake(tmp_path: Path, wait: Any) -> None:
    with pytest.raises(OptionError, match="wait must be seconds"):
        LiveExperiment(tmp_path, wait=wait)


def test_a_recording_that_has_ended(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path) as exporter:
        for episode in range(3):
            exporter.start_episode()
            for step in range(120):
                exporter.log(step, behavior={"x": float(episode * 1000 + step)})
            exporter.end_episode(success=True)
    gathered = Gathered()
    with LiveExperiment(exporter.output_dir) as live:
        assert not list(live.follow())
        gathered.add(live.follow(history=True))
        assert live.tail("behavior/x", 10).values.tolist() == [2110.0 + n for n in range(10)]
        assert live.tail("behavior/x", 1, episode=0).values.tolist() == [119.0]
        assert live.spikes() == {}
        assert not len(live.rewards().values)
        assert not live.events()
        assert live.status().steps == 360
    assert_same(gathered.contents(), stored(exporter.h5_path))


def test_no_episode_yet(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path) as exporter, LiveExperiment(exporter.h5_path) as live:
        with pytest.raises(NotRunningError, match="no episode"):
            live.tail("behavior/x")
        assert live.status().episodes == 0
        assert live.status().episode_id is None


def test_another_machines_recording_is_seen_as_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered = Gathered()
    with DataExporter("run", tmp_path) as exporter:
        monkeypatch.setattr("recorder.h5.lock.socket.gethostname", lambda: "elsewhere")
        monkeypatch.setattr("recorder.ring.arena._boot", lambda: b"another")
        following = Following(exporter.h5_path, history=True)
        assert following.remote
        for episode in range(2):
            exporter.start_episode()
            for step in range(100):
                exporter.log(step, behavior={"x": float(1000 * episode + step)})
            assert not list(following.take())
            exporter.end_episode(success=True)
            exporter.flush()
            gathered.add(following.take())
            assert not list(following.take())
    # Its program may live: that is known a minute after anything changed last.
    monkeypatch.setattr("recorder.h5.lock._RECENT", -1.0)
    while not following.over:
        gathered.add(following.take())
    assert_same(gathered.contents(), stored(exporter.h5_path))


def test_a_change_between_ring_and_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Episodes end and begin after the ring was read and before the file is: nothing comes twice."""
    gathered = Gathered()
    with DataExporter("run", tmp_path) as exporter:
        exporter.start_episode()
        log = lambda step: exporter.log(step, reward=float(step), behavior={"x": 1.0 * step})  # noqa: E731
        for step in range(200):
            log(step)
        real, changes = following_module.present, iter(range(2))

        def late(*arguments: Any) -> Any:
            if next(changes, None) is not None:
                exporter.end_episode(success=True)
                exporter.start_episode()
                log(0)
                exporter.end_episode(success=True)
                exporter.start_episode()
                for step in range(7):
                    log(step)
                exporter.flush()
            return real(*arguments)

        monkeypatch.setattr(following_module, "present", late)
        following = Following(exporter.h5_path, history=True)
        gathered.add(following.take())
        for step in range(7, 30):
            log(step)
            gathered.add(following.take())
        exporter.end_episode(success=True)
    while not following.over:
        gathered.add(following.take())
    assert len(gathered.updates) == 5
    assert_same(gathered.contents(), stored(exporter.h5_path))


@pytest.mark.parametrize("history", [False, True])
def test_clocks_may_be_set_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: bool) -> None:
    """An episode that runs may have begun before one that has ended, by the clock on the wall."""
    with DataExporter("run", tmp_path) as exporter:
        following = Following(exporter.h5_path, history=history)
        exporter.start_episode()
        exporter.log(0, reward=0.5)
        exporter.end_episode(success=True)
        monkeypatch.setattr("recorder.recording.datetime", Earlier)
        exporter.start_episode()
        exporter.log(0, reward=1.5)
        exporter.flush()
        found = list(following.take())
        exporter.log(1, reward=2.5)
        found += following.take()
        exporter.end_episode(success=True)
        found += following.take()
    rewards = [(u.episode_id, v) for u in found if u.rewards for v in u.rewards.values.tolist()]
    assert rewards == [(0, 0.5), (1, 1.5), (1, 2.5)]
    assert [u.episode_id for u in found if u.ends] == [0, 1]
    following.close()


class Earlier(datetime):
    """A clock that was set back."""

    @classmethod
    def now(cls, *_: Any) -> Any:
        """Long ago."""
        return datetime(1999, 1, 1)


def test_attaching_reads_nothing_of_the_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DataExporter("run", tmp_path, chunk_size=10) as exporter:
        exporter.start_episode()
        for step in range(100):
            exporter.log(step, behavior={"x": float(step)})
        exporter.flush()
        monkeypatch.setattr("recorder.h5.reading.rows.read_rows", None)
        following = Following(exporter.h5_path, history=False)
        exporter.log(100, behavior={"x": 100.0})
        (update,) = following.take()
        assert update.streams["behavior/x"].values.tolist() == [100.0]
        following.close()


def test_updates_from_the_file_are_small(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path, 1) as exporter:
        exporter.start_episode()
        for step in range(3000):
            exporter.log(step, neural_state={"v": np.full(2000, float(step))})
        exporter.end_episode(success=True)
        following = Following(exporter.h5_path, history=True)
        sizes = [u.streams["neural_states/v"].values.nbytes for u in following.take() if u.streams]
        following.close()
    assert sum(sizes) == 3000 * 16_000
    assert max(sizes) <= 1 << 24


def test_a_precision_holds_for_rows_of_the_ring(tmp_path: Path) -> None:
    gathered = Gathered()
    values = np.random.default_rng(0).normal(size=(50, 4))
    with DataExporter("run", tmp_path, 1, precision={"v": 0.01}) as exporter:
        following = Following(exporter.h5_path, history=True)
        exporter.start_episode()
        for step, row in enumerate(values):
            exporter.log(step, neural_state={"v": row})
            gathered.add(following.take())
        exporter.end_episode(success=True)
    while not following.over:
        gathered.add(following.take())
    assert_same(gathered.contents(), stored(exporter.h5_path))


def test_a_ring_that_is_none_is_let_go(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path) as exporter:
        open_before = len(list(Path("/proc/self/fd").iterdir()))
        with (
            mock.patch.object(following_module, "waiting_in", side_effect=DamagedError("torn")),
            mock.patch.object(following_module, "_PATIENCE", 0.01),
            pytest.raises(ReadError),
        ):
            Following(exporter.h5_path, history=False)
        assert len(list(Path("/proc/self/fd").iterdir())) <= open_before
