"""Honest accounts: what was logged is committed, recovered or dropped, and the file says how much of it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from loaders import ExperimentLoader, StreamAccount
from recorder import DataExporter, DroppedStepsWarning, RingFullError, SpikeIndices
from recorder.cli import cli
from recorder.h5.repair import open_unwritten, repair
from tests.killed import as_killed
from tests.test_exporter import Gate

STEPS = 4000


def call(t: int) -> dict[str, Any]:
    """One step with every kind of stream; ``late`` comes and goes, ``s`` is sampled."""
    out: dict[str, Any] = {
        "timestep": t,
        "neural_state": {"v": np.full(40, float(t)), "s": float(t)},
        "spikes": SpikeIndices([t % 7], 7),
        "behavior": {"x": float(t)},
    }
    if t % 3 == 0:
        out["reward"] = float(t // 9)
        out["behavior"]["late"] = t
    if t % 10 == 0:
        out |= {"synapse_id": t, "old_weight": 0.0, "new_weight": 1.0}
    if t % 25 == 0:
        out |= {"event_type": "mark", "data": {"t": t}}
    return out


def given(steps: int) -> dict[str, int]:
    """Rows that as many calls bring by stream."""
    thirds = len(range(0, steps, 3))
    return {
        "neural_states/v": steps,
        "neural_states/s": len(range(0, steps, 5)),
        "spikes": steps,
        "behavior/x": steps,
        "behavior/late": thirds,
        "rewards": thirds,
        "weight_changes": len(range(0, steps, 10)),
        "events": len(range(0, steps, 25)),
    }


def exporter(folder: Path, **options: Any) -> DataExporter:
    rates = {"s": 5}
    return DataExporter("run", folder, rates, ring_bytes=1 << 20, validate_data=False, **options)


def lengths(path: Path) -> dict[str, int]:
    """Rows by stream, counted by reading them."""
    with ExperimentLoader(path) as loader:
        episode = loader.get_episode(0)
        found = {name: len(episode.stream(name).read()) for name in episode.streams}
        found["spikes"] = len(episode.spike_timesteps())
        found["rewards"] = len(episode.get_rewards().get("timesteps", ()))
        found["weight_changes"] = len(episode.get_weight_changes().get("timesteps", ()))
        found["events"] = len(list(episode.iter_events()))
        return found


def accounts(path: Path) -> tuple[dict[str, StreamAccount], dict[str, Any]]:
    with ExperimentLoader(path) as loader:
        assert loader.accounts() == loader.get_episode(0).accounts()
        return loader.accounts(), loader.get_episode(0).get_metadata()


def test_nothing_lost_needs_nothing_written(tmp_path: Path) -> None:
    with exporter(tmp_path) as recording:
        recording.start_episode()
        for t in range(STEPS):
            recording.log(**call(t))
    found, facts = accounts(recording.h5_path)
    assert found == {name: StreamAccount(rows, rows, 0, 0) for name, rows in given(STEPS).items()}
    assert facts["dropped_timesteps"] == 0
    with h5py.File(recording.h5_path) as file:
        assert "accounts" not in file["episodes/episode_0000"].attrs
        assert not {"dropped_timesteps", "recovered_timesteps"} & set(file.attrs)
    shown = CliRunner().invoke(cli, ["info", str(recording.h5_path)]).output
    assert "because the ring" not in shown
    assert "brought back" not in shown


@pytest.mark.parametrize("end", ["close", "kill"])
def test_what_is_dropped_is_counted_by_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    gate = Gate(monkeypatch)
    recording = exporter(tmp_path, on_full="drop", async_write=True)
    recording.start_episode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for t in range(STEPS):
            recording.log(**call(t))
        recording.log(STEPS, behavior={"never": 1.0})
    (warning,) = caught
    assert isinstance(warning.message, DroppedStepsWarning)
    assert warning.filename == __file__
    assert (warning.message.stored, warning.message.dropped, warning.message.episode_id) == (0, 1, 0)
    killed = as_killed(recording, tmp_path / "copy")
    gate.open.set()
    recording.close()
    path = recording.h5_path if end == "close" else killed
    found, facts = accounts(path)
    stored = lengths(path)
    assert {name: account.logged for name, account in found.items()} == given(STEPS) | {"behavior/never": 1}
    for name, account in found.items():
        kept = stored.get(name, 0)
        assert account.committed + account.recovered == kept
        assert account.dropped == account.logged - kept
        assert account.recovered == (kept if end == "kill" else 0)
    assert facts["dropped_timesteps"] == found["neural_states/v"].dropped + 1 > 1000
    assert facts.get("recovered_timesteps", 0) == (stored["spikes"] if end == "kill" else 0)
    with h5py.File(path) as file:
        assert file.attrs["dropped_timesteps"] == facts["dropped_timesteps"]
        assert file.attrs.get("recovered_timesteps", 0) == facts.get("recovered_timesteps", 0)
        document = json.loads(file["episodes/episode_0000"].attrs["accounts"])
        assert document["behavior/never"] == {"logged": 1, "committed": 0, "recovered": 0, "dropped": 1}
    assert "dropped because the ring was full" in CliRunner().invoke(cli, ["info", str(path)]).output


def test_each_episode_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    recording = exporter(tmp_path, on_full="drop", async_write=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recording.start_episode()
        for t in range(STEPS):
            recording.log(t, behavior={"x": float(t)}, neural_state={"v": np.zeros(100)})
        gate.open.set()
        recording.end_episode()
        recording.start_episode()
        recording.log(0, behavior={"x": 1.0})
    assert [w.category for w in caught] == [DroppedStepsWarning]
    killed = as_killed(recording, tmp_path / "copy")
    recording.close()
    for path in (killed, recording.h5_path):
        with ExperimentLoader(path) as loader:
            first, second = (loader.get_episode(k).accounts() for k in (0, 1))
            assert first["behavior/x"].dropped > 0
            assert second["behavior/x"].dropped == 0
            assert loader.accounts()["behavior/x"].logged == STEPS + 1
            assert loader.get_episode(1).get_metadata()["dropped_timesteps"] == 0


@pytest.mark.parametrize("steps", [1, 300, 12_000, 60_000])
@pytest.mark.parametrize("how", ["loader", "repair", "memory"])
def test_what_a_kill_left_in_the_ring_is_recovered(tmp_path: Path, steps: int, how: str) -> None:
    recording = exporter(tmp_path, chunk_size=1000)
    recording.start_episode()
    for t in range(steps):
        recording.log(**call(t))
    with ExperimentLoader(recording.h5_path) as loader:
        living = loader.get_episode(0).accounts() if loader.list_episodes() else {}
    killed = as_killed(recording, tmp_path / "copy")
    recording.close()
    before = {name: account.committed for name, account in living.items()}
    if how == "repair":
        report = repair(killed)
        with ExperimentLoader(killed) as loader:
            assert loader.attributes["recovered_timesteps"] == report.steps_recovered
        assert repair(killed).status == "clean"
    if how == "memory":
        with open_unwritten(killed) as file:
            document = json.loads(file["episodes/episode_0000"].attrs["accounts"])
        found = {name: StreamAccount(**rows) for name, rows in document.items()}
    else:
        found, facts = accounts(killed)
        assert facts["status"] == "recovered"
        assert facts["recovered_timesteps"] >= found["neural_states/v"].recovered
    assert {name: account.logged for name, account in found.items()} == given(steps)
    assert {name: account.committed for name, account in found.items()} == {
        name: before.get(name, 0) for name in found
    }
    assert all(account.recovered == account.logged - account.committed for account in found.values())


def test_a_batch_says_how_many_of_its_steps_were_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    steps = np.arange(10_000)
    batch = {"behavior": {"x": np.random.default_rng(0).random((10_000, 20))}, "neural_state": {"s": steps}}
    raising = exporter(tmp_path, on_full="raise", async_write=True)
    raising.start_episode()
    with pytest.raises(RingFullError, match=r"Of the 10000 steps of this call the first \d+ were") as error:
        raising.log_batch(steps, **batch)
    stored = error.value.stored
    assert f"first {stored} were stored" in str(error.value)
    with pytest.raises(RingFullError) as error:
        raising.log(0, behavior={"x": np.zeros(20)}, neural_state={"s": 1})
    assert error.value.stored == 0
    dropping = exporter(tmp_path, on_full="drop", async_write=True)
    dropping.start_episode()
    with pytest.warns(DroppedStepsWarning, match=f"which stored {stored}") as caught:
        assert dropping.log_batch(steps, **batch) == stored
    assert caught[0].filename == __file__
    assert (caught[0].message.stored, caught[0].message.dropped) == (stored, 10_000 - stored)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            dropping.log_batch(steps[:7], **{g: {k: a[:7] for k, a in m.items()} for g, m in batch.items()})
            == 0
        )
    gate.open.set()
    for recording, lost in ((raising, 0), (dropping, 10_007 - stored)):
        recording.close()
        found, facts = accounts(recording.h5_path)
        assert facts["total_timesteps"] == stored
        assert facts["dropped_timesteps"] == lost
        assert found["behavior/x"] == StreamAccount(stored + lost, stored, 0, lost)
        kept = len(range(0, stored, 5))
        assert found["neural_states/s"].committed == kept
        assert found["neural_states/s"].dropped == (2000 - kept if lost else 0)


def test_a_warning_that_is_an_error_still_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    recording = exporter(tmp_path, on_full="drop", async_write=True)
    recording.start_episode()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DroppedStepsWarning):
            for t in range(STEPS):
                recording.log(t, behavior={"x": np.zeros(100)})
        recording.log(t + 1, behavior={"x": np.zeros(100)})
    gate.open.set()
    recording.close()
    found, facts = accounts(recording.h5_path)
    assert found["behavior/x"] == StreamAccount(t + 2, t, 0, 2)
    assert facts["dropped_timesteps"] == 2


def test_more_streams_than_an_attribute_holds(tmp_path: Path) -> None:
    recording = exporter(tmp_path)
    recording.start_episode()
    values = {f"key{n:04}": float(n) for n in range(600)}
    recording.log(0, behavior=values)
    killed = as_killed(recording, tmp_path / "copy")
    recording.close()
    found, facts = accounts(killed)
    assert found == {f"behavior/{key}": StreamAccount(1, 0, 1, 0) for key in values}
    assert "accounts" not in facts
    with ExperimentLoader(killed) as loader:
        assert loader.get_episode(0).list_static_data() == []
