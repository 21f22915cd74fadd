"""Running episodes: no row beyond its committed counter is ever read."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import synthetic
from numpy.testing import assert_array_equal

from loaders import DamagedError, EpisodeData, ExperimentLoader, ReadError
from recorder.h5.file import open_snapshot
from recorder.h5.reading import handle

STEPS = np.arange(0, 60, 2)
X = np.arange(30) * 1.5
V = np.arange(90, dtype=np.float32).reshape(30, 3)
RASTER = np.random.default_rng(5).random((30, 4)) < 0.3
REWARDS = [0.0] * 7 + [1.0] * 8 + [2.0] * 15
EVENTS = [(step, "tick", {"n": step}) for step in range(10)]
CHANGES = {"timesteps": STEPS, "synapse_ids": np.arange(30), "old_weights": X, "new_weights": X + 1}


def intervals_of(rows: int) -> int:
    return len(synthetic.encode_intervals(RASTER[:rows])[0])


def running(path: Path, **committed: int) -> Path:
    with synthetic.recording(path, status="running") as file:
        group = synthetic.episode(file)
        synthetic.timed(group["neural_states"], STEPS, v=V)
        synthetic.timed(group["behavior"], STEPS, x=X, y=X)
        synthetic.spikes(group["spikes"], STEPS, RASTER)
        synthetic.rewards(group["rewards"], STEPS, REWARDS)
        synthetic.events(group["events"], EVENTS)
        group["weight_changes"].attrs["format"] = "table"
        for name, values in CHANGES.items():
            synthetic.column(group["weight_changes"], name, values)
        counts: dict[str, int] = {}
        group.visititems(
            lambda name, item: counts.update({name: len(item)}) if isinstance(item, h5py.Dataset) else None
        )
        synthetic.commit(group, {**counts, **{name.replace("__", "/"): n for name, n in committed.items()}})
    return path


def read(path: Path) -> EpisodeData:
    return ExperimentLoader(path).get_episode(0)


def test_everything_committed(tmp_path: Path) -> None:
    episode = read(running(tmp_path / "a.h5"))
    assert episode.status == "running"
    assert_array_equal(episode.get_neural_states()["v"], V)
    assert_array_equal(episode.get_rewards()["rewards"], REWARDS)
    assert list(episode.iter_events()) == EVENTS
    rows = len(episode.spike_timesteps())
    assert 30 - 3 < rows <= 30
    assert_array_equal(episode.get_spike_raster(), RASTER[:rows])


@pytest.mark.parametrize("rows", [0, 1, 13, 30])
def test_dense_streams_end_at_their_counter(tmp_path: Path, rows: int) -> None:
    episode = read(running(tmp_path / "a.h5", neural_states__v=rows, behavior__x=rows, behavior__y=20))
    assert_array_equal(episode.stream("neural_states/v").read(), V[:rows])
    assert episode.stream("neural_states/v").shape == (rows, 3)
    assert_array_equal(episode.stream("neural_states/v").timesteps, STEPS[:rows])
    both = episode.get_behavior()
    assert_array_equal(both["timesteps"], STEPS[: min(rows, 20)])
    assert_array_equal(both["x"], X[: min(rows, 20)])
    assert_array_equal(both["y"], X[: min(rows, 20)])
    assert_array_equal(episode.get_behavior(keys=["y"])["y"], X[:20])
    assert_array_equal(episode.stream("behavior/y").read(10, 100), X[5:20])


def test_values_never_pass_their_timesteps(tmp_path: Path) -> None:
    episode = read(running(tmp_path / "a.h5", behavior__timesteps=4))
    assert_array_equal(episode.stream("behavior/x").read(), X[:4])
    assert_array_equal(episode.get_behavior()["timesteps"], STEPS[:4])


@pytest.mark.parametrize("rows", range(0, 31, 3))
@pytest.mark.parametrize("anchors", [0, 2, 8])
def test_spikes_end_with_the_last_whole_row(tmp_path: Path, rows: int, anchors: int) -> None:
    count = intervals_of(rows)
    episode = read(running(tmp_path / "a.h5", spikes__intervals=count, spikes__anchors=anchors))
    cells = np.flatnonzero(RASTER)[:count]
    whole = (int(cells[-1]) + 1) // 4 if count else 0
    assert_array_equal(episode.spike_timesteps(), STEPS[:whole])
    assert_array_equal(episode.get_spike_raster(), RASTER[:whole])
    assert_array_equal(episode.get_spike_raster(10, 40), RASTER[5 : min(whole, 20)])
    assert_array_equal(episode.get_spikes()["neuron_ids"], np.nonzero(RASTER[:whole])[1])
    short = read(running(tmp_path / "b.h5", spikes__intervals=count, spikes__timesteps=5))
    assert_array_equal(short.get_spike_raster(), RASTER[: min(whole, 5)])


@pytest.mark.parametrize(("runs", "rows"), [(0, 0), (1, 7), (2, 15), (3, 30)])
def test_rewards_end_with_the_last_run(tmp_path: Path, runs: int, rows: int) -> None:
    episode = read(running(tmp_path / "a.h5", rewards__lengths=runs))
    assert_array_equal(episode.get_rewards()["rewards"], REWARDS[:rows])
    assert_array_equal(episode.get_rewards()["timesteps"], STEPS[:rows])
    assert episode.get_reward_runs()["lengths"].sum() == rows
    short = read(running(tmp_path / "b.h5", rewards__lengths=runs, rewards__timesteps=10))
    assert_array_equal(short.get_rewards()["rewards"], REWARDS[: min(rows, 10)])


def test_tables_end_with_their_shortest_column(tmp_path: Path) -> None:
    counts: dict[str, Any] = {"weight_changes__new_weights": 12, "events__ends": 6, "events__data": 60}
    episode = read(running(tmp_path / "a.h5", **counts))
    found = episode.get_weight_changes()
    assert_array_equal(found["timesteps"], STEPS[:12])
    assert_array_equal(found["deltas"], np.ones(12))
    assert list(episode.iter_events()) == EVENTS[:1]
    assert episode.get_events("tick")["n"].tolist() == [0]


def test_plain_spikes_end_where_both_columns_do(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        group = synthetic.episode(file)
        synthetic.spike_events(group["spikes"], STEPS, RASTER)
        names = [f"spikes/{name}" for name in group["spikes"]]
        synthetic.commit(group, {**{name: len(group[name]) for name in names}, "spikes/values": 9})
    ends = np.cumsum(RASTER.sum(axis=1))
    whole = int(np.searchsorted(ends, 9, side="right"))
    assert_array_equal(read(tmp_path / "a.h5").get_spike_raster(), RASTER[:whole])


def test_counters_that_cannot_be(tmp_path: Path) -> None:
    path = running(tmp_path / "a.h5", behavior__x=-5, behavior__y=10**9)
    assert len(read(path).stream("behavior/x")) == 0
    assert len(read(path).stream("behavior/y")) == 30
    with h5py.File(path, "r+") as file:
        file["episodes/episode_0000/behavior/x"].attrs["counter"] = 99
    with pytest.raises(DamagedError, match="counter 99 of"):
        read(path).stream("behavior/x").read()


def test_a_living_recording_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = running(tmp_path / "a.h5", behavior__x=3, behavior__y=3, behavior__timesteps=3)
    monkeypatch.setattr(handle, "open_for_reading", open_snapshot)
    Path(f"{path}.lock").write_text("{}")
    with h5py.File(path, "r+", libver=("v110", "v110")) as writer:
        group = writer["episodes/episode_0000"]
        number = {name: group["behavior"][name].attrs["counter"] for name in ("timesteps", "x", "y")}
        with ExperimentLoader(path) as loader:
            episode = loader.get_episode(0)
            stream = episode.stream("behavior/x")
            assert len(stream) == 3
            for name, counter in number.items():
                dataset = group["behavior"][name]
                dataset.resize(40, axis=0)
                dataset[30:] = np.arange(30, 40) * 2
                group["committed"][counter] = 40
            writer.flush()
            time.sleep(handle.FRESH_SECONDS * 1.5)
            assert len(stream) == 40
            assert_array_equal(stream.read()[30:], np.arange(30, 40) * 2)
            assert_array_equal(episode.get_behavior()["timesteps"], np.arange(40) * 2)
            assert list(episode.iter_events()) == EVENTS


def test_a_read_that_a_change_overtakes_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = running(tmp_path / "a.h5")
    monkeypatch.setattr(handle, "open_for_reading", open_snapshot)
    Path(f"{path}.lock").write_text("{}")
    journal = Path(f"{path}.journal")
    with ExperimentLoader(path) as loader:
        seen: list[Any] = []

        def read() -> int:
            seen.append(loader.h5_file)
            if len(seen) == 1:  # the writer changes the structure, and this handle reads nonsense
                journal.touch()
                journal.unlink()
                return -1
            return 1

        assert loader._recording.steady(read) == 1
        assert len(seen) == 2
        assert seen[0] is not seen[1]

        def overtaken() -> int:
            journal.touch()
            journal.unlink()
            return -1

        monkeypatch.setattr(handle, "ATTEMPTS", 2)
        with pytest.raises(ReadError, match="changes faster than it can be read"):
            loader._recording.steady(overtaken)
        with pytest.raises(ReadError, match="no such"):
            loader._recording.steady(lambda: (_ for _ in ()).throw(ReadError("no such")))


def test_a_running_stream_may_lack_a_dataset_yet(tmp_path: Path) -> None:
    path = running(tmp_path / "a.h5", rewards__timesteps=0)
    with h5py.File(path, "r+") as file:
        group = file["episodes/episode_0000"]
        for name in (
            "rewards/values",
            "rewards/lengths",
            "spikes/intervals",
            "spikes/anchors",
            "events/data",
        ):
            del group[name]
        del group["behavior/timesteps"]
    episode = read(path)
    assert len(episode.get_rewards()["rewards"]) == 0
    assert len(episode.get_spikes()["neuron_ids"]) == 0
    assert episode.get_spike_raster().shape == (0, 4)
    assert episode.get_events() == {}
    assert len(episode.get_behavior()["x"]) == 0
