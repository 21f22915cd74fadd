"""NWB files have the recording's values and times; pynwb and nwbinspector find nothing wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader, ExportError, ExportWarning
from loaders.interchange import columns, streamed
from recorder import DataExporter, OptionError
from recorder.format.document import loads

pynwb = pytest.importorskip("pynwb")
DT = 0.001
SUBJECT = {"subject_id": "model", "species": "Mus musculus", "sex": "U", "age": "P90D"}


@pytest.fixture(scope="module")
def path(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("nwb") / "all.nwb"
    with pytest.MonkeyPatch.context() as patch, ExperimentLoader(recording) as loader:
        patch.setattr(columns, "BLOCK_BYTES", 700)
        patch.setattr(columns, "_FIRST_ROWS", 8)
        patch.setattr(streamed, "_CHUNK", 300)
        patch.setattr(streamed, "_BUFFER", 2)
        units = {"neural_states/v": "mV"}
        return loader.to_nwb(found, dt=DT, units=units, about={"subject": SUBJECT, "keywords": ["a"]})


def shifts(file: Any) -> list[int]:
    return [int(shift) for shift in file.trials["shift"][:]]


def steps(times: Any) -> Any:
    found = np.rint(np.asarray(times[:]) / DT).astype(np.int64)
    assert_array_equal(found * DT, times[:])
    return found


def test_series_come_back_equal(path: Path, experiment: ExperimentLoader) -> None:
    with pynwb.NWBHDF5IO(path, "r") as io:
        file = io.read()
        behaviour = file.processing["behavior"]["behavior"].time_series
        series = {f"behavior/{key}": found for key, found in behaviour.items()}
        series |= {f"neural_states/{key}": found for key, found in file.acquisition.items()}
        episodes = [experiment.get_episode(i) for i in range(3)]
        assert set(series) == set(episodes[0].streams)
        moved = shifts(file)
        for name, found in series.items():
            own = [episode.stream(name) for episode in episodes]
            assert_array_equal(found.data[:], np.concatenate([stream.read() for stream in own]))
            assert found.data.dtype == own[0].dtype
            assert_array_equal(
                steps(found.timestamps),
                np.concatenate([s.timesteps + m for s, m in zip(own, moved, strict=True)]),
            )
        assert file.acquisition["v"].unit == "mV"
        rewards = file.processing["behavior"]["rewards"].time_series["rewards"]
        assert_array_equal(rewards.data[:], np.concatenate([e.get_rewards()["rewards"] for e in episodes]))


def test_spikes_trials_and_tables_come_back_equal(path: Path, experiment: ExperimentLoader) -> None:
    with pynwb.NWBHDF5IO(path, "r") as io:
        file = io.read()
        moved = shifts(file)
        for neuron in range(5):
            own = [
                experiment.get_episode(i).get_spikes(neurons=neuron)["timesteps"] + moved[i] for i in range(3)
            ]
            times = file.units["spike_times"][neuron]
            assert_array_equal(np.rint(times / DT).astype(np.int64), np.concatenate(own))
            assert_array_equal(times, np.concatenate(own) * DT)
        assert file.units["neuron_types"][:].tolist() == ["exc"] * 3 + ["inh"] * 2
        assert moved == [0, 60, 121]
        assert_array_equal(np.rint(file.trials["start_time"][:] / DT), [100, 160, 221])
        assert file.trials["success"][:].tolist() == ["false", "true", "true"]
        assert loads(file.trials["summary"][1].encode())["score"] == 1 / 3
        changes = file.processing["plasticity"]["weight_changes"]
        own_changes = [experiment.get_episode(i).get_weight_changes() for i in range(3)]
        for key in ("old_weights", "new_weights", "synapse_ids", "rule"):
            assert_array_equal(changes[key][:], np.concatenate([part[key] for part in own_changes]))
        events = file.processing["behavior"]["events"]
        texts = [str(loads(text.encode())) for text in events["data"][:]]
        assert texts == [
            str(data) for i in range(3) for _, _, data in experiment.get_episode(i).iter_events()
        ]
        notes = loads(file.notes.encode())
        assert notes["config"]["layers"] == [1, 2]
        assert notes["metadata"]["lab"] == "ours"
        assert "python_version" in notes["runtime"]


def test_validator_and_inspector_find_nothing(
    path: Path, experiment: ExperimentLoader, tmp_path: Path
) -> None:
    plain = experiment.to_nwb(tmp_path / "plain.nwb", dt=DT)
    assert not pynwb.validate(path=path)
    inspector = pytest.importorskip("nwbinspector")
    found = [m for file in (path, plain) for m in inspector.inspect_nwbfile(nwbfile_path=file)]
    worst = [m for m in found if m.importance.value >= inspector.Importance.CRITICAL.value]
    assert not worst, [(m.check_function_name, m.message) for m in worst]


def test_one_episode_keeps_its_timesteps(experiment: ExperimentLoader, tmp_path: Path) -> None:
    episode = experiment.get_episode(1)
    episode.to_nwb(tmp_path / "one.nwb", dt=DT)
    with pynwb.NWBHDF5IO(tmp_path / "one.nwb", "r") as io:
        file = io.read()
        assert_array_equal(
            steps(file.acquisition["v"].timestamps), episode.stream("neural_states/v").timesteps
        )
        assert shifts(file) == [0]
    with pytest.raises(FileExistsError):
        episode.to_nwb(tmp_path / "one.nwb", dt=DT)
    experiment.to_nwb(tmp_path / "some.nwb", dt=DT, only=["behavior/x"])
    with pynwb.NWBHDF5IO(tmp_path / "some.nwb", "r") as io:
        some = io.read()
        assert some.units is None
        assert list(some.processing["behavior"]["behavior"].time_series) == ["x"]
        assert not some.acquisition


def test_graded_spikes_keep_their_values(tmp_path: Path) -> None:
    graded = np.array([[0.0, 2.5], [1.5, -1.0], [0.0, 0.5]], np.float32)
    with DataExporter("graded", output_base_dir=str(tmp_path)) as out:
        out.start_episode()
        for step, row in enumerate(graded):
            out.log(timestep=step, spikes=row)
        out.end_episode()
    with ExperimentLoader(out.output_dir) as loader:
        loader.to_nwb(tmp_path / "graded.nwb", dt=1.0)
    with pynwb.NWBHDF5IO(tmp_path / "graded.nwb", "r") as io:
        units = io.read().units
        assert [units["spike_times"][i].tolist() for i in range(2)] == [[1.0], [0.0, 1.0, 2.0]]
        assert [units["spike_values"][i].tolist() for i in range(2)] == [[1.5], [2.5, -1.0, 0.5]]


def test_neurons_that_are_silent_are_units_without_times(tmp_path: Path) -> None:
    with DataExporter("silent", output_base_dir=str(tmp_path)) as out:
        out.save_network_structure(
            {"neuron_ids": np.arange(2), "neuron_types": ["a", "b"], "odd": np.array([1.5, 2.5])},
            {"source_ids": np.array([0]), "target_ids": np.array([1])},
            np.array([1.0]),
        )
        out.start_episode()
        out.log(timestep=0, spikes=np.zeros(2, bool))
        out.end_episode()
        out.start_episode()
        out.end_episode()
    with ExperimentLoader(out.output_dir) as loader:
        loader.to_nwb(tmp_path / "silent.nwb", dt=1.0)
    with pynwb.NWBHDF5IO(tmp_path / "silent.nwb", "r") as io:
        file = io.read()
        assert [file.units["spike_times"][i].tolist() for i in range(2)] == [[], []]
        assert file.units["neuron_types"][:].tolist() == ["a", "b"]
        assert file.units["neuron_odd"][:].tolist() == [1.5, 2.5]
        assert file.trials["stop_time"][:].tolist() == [1.0, 1.0]


def test_columns_named_as_nwbs_own_are_renamed(tmp_path: Path) -> None:
    names = ("id", "timestamp", "description", "colnames", "name", "columns")
    with DataExporter("named", output_base_dir=str(tmp_path)) as out:
        out.start_episode()
        for step in range(3):
            given = dict.fromkeys(names, 70 + step)
            out.log(timestep=step, synapse_id=1, old_weight=0.0, new_weight=1.0, **given)
        out.end_episode()
    with ExperimentLoader(out.output_dir) as loader:
        path = loader.to_nwb(tmp_path / "a.nwb", dt=1.0)
    with pynwb.NWBHDF5IO(path, "r") as io:
        found = io.read().processing["plasticity"]["weight_changes"].to_dataframe()
    assert found["timestamp"].tolist() == [0.0, 1.0, 2.0]
    for name in names:
        assert found[f"logged_{name}"].tolist() == [70, 71, 72]


def test_files_of_parts_have_identifiers_of_their_own(experiment: ExperimentLoader, tmp_path: Path) -> None:
    found = set()
    parts = ((None, "rewards"), ([0], "rewards"), ([1], "rewards"), ([1], "spikes"))
    for number, (episodes, only) in enumerate(parts):
        path = experiment.to_nwb(tmp_path / f"{number}.nwb", dt=DT, episodes=episodes, only=[only])
        with pynwb.NWBHDF5IO(path, "r") as io:
            file = io.read()
            found.add(file.identifier)
            assert file.session_id == experiment.experiment_dir.name
    assert len(found) == 4


def test_series_with_fewer_rows_than_neurons_are_tables(tmp_path: Path) -> None:
    inspector = pytest.importorskip("nwbinspector")
    rows = np.random.default_rng(0).random((5, 10))
    with DataExporter("wide", output_base_dir=str(tmp_path), neural_sampling_rate=1) as out:
        out.start_episode()
        for step in range(30):
            state = {"v": rows[step]} if step < 5 else None
            wide = {"events": rows[step]} if step < 5 else {}
            out.log(step, state, np.arange(4) == step % 4, {"x": 1.0, **wide})
        out.log(timestep=3, event_type="cue", data={"a": 1})
        out.end_episode()
    told = pytest.warns(ExportWarning, match="neural_states/v, behavior/events: fewer rows")
    with ExperimentLoader(out.output_dir) as loader, told:
        path = loader.to_nwb(tmp_path / "a.nwb", dt=0.5, units={"neural_states/v": "mV"})
    assert not pynwb.validate(path=path)
    found = list(inspector.inspect_nwbfile(nwbfile_path=path))
    assert not [m for m in found if m.importance.value >= inspector.Importance.CRITICAL.value]
    with pynwb.NWBHDF5IO(path, "r") as io:
        file = io.read()
        for table in (file.acquisition["v"], file.processing["behavior"]["logged_events"]):
            assert_array_equal(table["timestamp"][:], np.arange(5) * 0.5)
            assert_array_equal(table[table.colnames[1]][:], rows)
        assert "mV" in file.acquisition["v"].description
        assert list(file.processing["behavior"]["behavior"].time_series) == ["x"]


def test_arguments_that_cannot_be_are_said_to_be_wrong(experiment: ExperimentLoader, tmp_path: Path) -> None:
    for about in ({"foo": 1}, {"session_start_time": "2026-01-01"}, {"subject": {"foo": 1}}):
        with pytest.raises(OptionError, match="about: "):
            experiment.to_nwb(tmp_path / "a.nwb", dt=DT, about=about)
    with pytest.raises(OptionError, match="expected a text for behavior/x, got 5"):
        experiment.to_nwb(tmp_path / "a.nwb", dt=DT, units={"behavior/x": 5})  # type: ignore[dict-item]
    with pytest.raises(OptionError, match="each one once"):
        experiment.to_nwb(tmp_path / "a.nwb", dt=DT, episodes=[0, 0])
    with pytest.raises(OptionError, match="only: expected a collection"):
        experiment.to_nwb(tmp_path / "a.nwb", dt=DT, only="spikes")
    with pytest.raises(ExportError, match="without an episode"):
        experiment.to_nwb(tmp_path / "a.nwb", dt=DT, episodes=[])


def test_what_nwb_cannot_hold_is_refused(experiment: ExperimentLoader, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a recording has timesteps, not seconds: give dt"):
        experiment.to_nwb(tmp_path / "a.nwb")
    with pytest.raises(KeyError, match="units"):
        experiment.to_nwb(tmp_path / "a.nwb", dt=DT, units={"v": "mV"})
    for number, (rows, message) in enumerate(
        (
            ([(0, 1j)], "no series of complex128"),
            ([(1, 1.0), (0, 2.0)], "timesteps fall"),
        )
    ):
        with DataExporter(f"odd{number}", output_base_dir=str(tmp_path)) as out:
            out.start_episode()
            for step, value in rows:
                out.log(timestep=step, behavior={"z": value})
            out.end_episode()
        with ExperimentLoader(out.output_dir) as loader, pytest.raises(ExportError, match=message):
            loader.to_nwb(tmp_path / "a.nwb", dt=DT)
    with DataExporter("two", output_base_dir=str(tmp_path)) as out:
        for width in (2, 3):
            out.start_episode()
            out.log(timestep=0, behavior={"z": np.zeros(width)})
            out.end_episode()
    with ExperimentLoader(out.output_dir) as loader, pytest.raises(ExportError, match="files of their own"):
        loader.to_nwb(tmp_path / "a.nwb", dt=DT)
    assert not (tmp_path / "a.nwb").exists()
