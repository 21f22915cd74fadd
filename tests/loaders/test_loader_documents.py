"""Metadata, config, network, snapshots and summaries of files written by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import synthetic
from numpy.testing import assert_array_equal

from loaders import DamagedError, ExperimentLoader, ReadError, describe, quick_load
from loaders.weights import weights_after
from recorder.h5.reading import episode as episode_module

CONFIG = {"rate": 0.5, "layers": [1, 2], "pair": {"$tuple": [1, {"$float": "nan"}]}, "on": True, "none": None}


def document(group: Any, name: str, value: Any) -> None:
    group.attrs[name] = np.bytes_(json.dumps(value).encode())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "demo_20260101_120000" / "experiment_data.h5"
    found.parent.mkdir()
    with synthetic.recording(found, n_neurons=3, n_connections=2, end_time="2026-01-01T12:05:00") as file:
        config, metadata = file.create_group("config"), file.create_group("metadata")
        document(config, "json", CONFIG)
        config.attrs["rate"] = 0.5
        metadata["json"] = np.frombuffer(json.dumps({"author": "a", "text": "x" * 70000}).encode(), np.uint8)
        runtime, git = file.create_group("runtime"), file.create_group("git_info")
        runtime.attrs["python_version"] = "3.11"
        git.attrs.update({"branch": "main", "dirty": "False", "uncommitted_files": "[]"})
        code = file.create_group("code_snapshot")
        code["run.py"] = np.frombuffer("print('ä')\n".encode(), np.uint8)
        document(code, "saved_files", ["run.py"])
        code.attrs["snapshot_time"] = "2026-01-01T12:00:00"
        network = file.create_group("network_structure")
        network.create_group("neurons")["neuron_ids"] = np.arange(3)
        network["neurons/kind"] = np.array(
            [b"exc", b"inh", "é".encode()], dtype=synthetic.h5py.string_dtype("utf-8", 3)
        )
        network.create_group("connections")["source_ids"] = np.array([0, 1])
        synthetic.column(file.create_group("checkpoints/best_120001"), "w", np.eye(2))
        file["checkpoints/best_120001/step"] = 7
        group = synthetic.episode(file, 0, total_timesteps=10, total_spikes=4, total_reward=1.5)
        document(group, "summary", {"laps": 2, "path": {"$tuple": [1, 2]}})
        document(group, "neural_sampling_rate", {"v": 10})
        synthetic.column(group.create_group("world"), "grid", np.ones((2, 2)))
        synthetic.column(group.create_group("final_state"), "v", np.arange(3.0))
        synthetic.timed(group["behavior"], range(10), x=np.arange(10))
        synthetic.episode(file, 12345, success=False, status="interrupted")
    return found


@pytest.fixture
def loader(path: Path) -> Iterator[ExperimentLoader]:
    with ExperimentLoader(path.parent) as opened:
        yield opened


def test_documents(loader: ExperimentLoader) -> None:
    config = loader.get_config()
    assert config.pop("pair")[0] == 1
    assert config == {key: value for key, value in CONFIG.items() if key != "pair"}
    metadata = loader.get_metadata()
    assert metadata["author"] == "a"
    assert len(metadata["text"]) == 70000
    assert metadata["experiment_name"] == "by_hand"
    assert "author" not in loader.attributes
    assert loader.status == "completed"
    assert loader.get_runtime_info() == {"python_version": "3.11"}
    assert loader.get_git_info() == {"branch": "main", "dirty": False, "uncommitted_files": []}
    assert loader.get_code_snapshot() == {"run.py": "print('ä')\n"}
    checkpoints = loader.get_all_checkpoints()
    assert_array_equal(checkpoints["best_120001"]["w"], np.eye(2))
    assert checkpoints["best_120001"]["step"] == 7


def test_nothing_saved(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5"):
        pass
    with ExperimentLoader(str(tmp_path / "a.h5")) as loader:
        assert loader.get_config() == {}
        assert loader.get_runtime_info() == {}
        assert loader.get_git_info() is None
        assert loader.get_code_snapshot() == {}
        assert loader.get_network_structure() == {}
        assert loader.get_initial_weights() is None
        assert loader.list_episodes() == []
        assert loader.get_all_summaries() == []
        assert loader.get_all_checkpoints() == {}
        assert repr(loader.episodes) == "no episodes"
        assert "0 episodes" in describe(loader)


def test_network_columns(loader: ExperimentLoader) -> None:
    network = loader.get_network_structure()
    assert network.keys() == {"neurons", "connections"}
    assert network["neurons"]["kind"].tolist() == ["exc", "inh", "é"]
    assert_array_equal(network["connections"]["source_ids"], [0, 1])


@pytest.mark.parametrize("given_as", ["dense", "csr", "csc_matrix", "coo_array"])
def test_matrices_come_back_as_given(tmp_path: Path, given_as: str) -> None:
    dense = np.array([[0.0, -0.0, 2.5], [np.nan, 0.0, 0.0]], np.float32)
    with synthetic.recording(tmp_path / "a.h5") as file:
        group = file.create_group("network_structure/initial_weights")
        group.attrs.update({"format": "csr", "shape": np.array([2, 3]), "given": given_as})
        group["indptr"], group["indices"] = np.array([0, 2, 3]), np.array([1, 2, 0])
        group["data"] = np.array([-0.0, 2.5, np.nan], np.float32)
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        stored = loader.get_network_structure()["initial_weights"]
        assert stored.keys() == {"format", "shape", "given", "indptr", "indices", "data"}
        assert stored["shape"] == (2, 3)
        found = loader.get_initial_weights()
        if given_as == "dense":
            assert found.tobytes() == dense.tobytes()
        else:
            assert found.format == given_as[:3]
            assert isinstance(found, scipy.sparse.sparray) == (not given_as.endswith("matrix"))
            assert_array_equal(found.toarray(), dense)
            assert found.dtype == dense.dtype


def test_vectors_and_columns_come_back_as_given(tmp_path: Path) -> None:
    for form, columns in (
        ("dense_1d", {"weights": np.arange(3.0)}),
        ("columns", {"a": np.arange(2), "b": np.eye(2)}),
    ):
        with synthetic.recording(tmp_path / f"{form}.h5") as file:
            group = file.create_group("network_structure/initial_weights")
            group.attrs["format"] = form
            for name, values in columns.items():
                group[name] = values
        with ExperimentLoader(tmp_path / f"{form}.h5") as loader:
            found = loader.get_initial_weights()
            stored = loader.get_network_structure()["initial_weights"]
            assert stored.keys() == {"format", *columns}
            if form == "dense_1d":
                assert_array_equal(found, columns["weights"])
                continue
            assert found.keys() == columns.keys()
            assert_array_equal(found["b"], np.eye(2))
            with pytest.raises(ReadError, match=r"columns \(a, b\)"):
                weights_after(found, [], {})


def test_episodes_at_a_glance(loader: ExperimentLoader) -> None:
    assert loader.list_episodes() == [0, 12345]
    summary = loader.get_episode_summary(0)
    assert summary["laps"] == 2
    assert summary["path"] == (1, 2)
    assert summary["neural_sampling_rate"] == {"v": 10}
    assert summary["total_reward"] == 1.5
    table = loader.episodes
    assert len(table) == 2
    assert table[0].total_timesteps == 10
    assert table[0].summary == {"laps": 2, "path": (1, 2)}
    assert table[-1].status == "interrupted"
    assert table[1:][0].episode_id == 12345
    lines = repr(table).splitlines()
    assert len(lines) == 3
    assert len({line.index("completed") for line in lines if "completed" in line}) == 1
    assert "12,345" in lines[2] or "12345" in lines[2]
    episode = loader.get_episode(0)
    assert episode.get_metadata()["success"] is True
    assert "summary" not in episode.get_metadata()
    assert episode.list_static_data() == ["world"]
    assert_array_equal(episode.get_static_data("world")["grid"], np.ones((2, 2)))
    assert episode.get_static_data("spikes") == {}
    assert_array_equal(episode.get_final_state()["v"], np.arange(3.0))


def test_table_to_pandas(loader: ExperimentLoader) -> None:
    pandas = pytest.importorskip("pandas")
    frame = loader.episodes.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc[0, "total_spikes"] == 4


def test_many_episodes_print_shortened(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        for number in range(50):
            synthetic.episode(file, number)
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        assert "30 more" in repr(loader.episodes)
        assert len(repr(loader.episodes).splitlines()) == 22
        assert "30 more" in describe(loader)
        assert [row.episode_id for row in loader.episodes[38:]] == list(range(38, 50))


def test_a_table_is_read_as_it_is_looked_at_and_outlives_its_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        for number in range(50):
            synthetic.episode(file, number, total_timesteps=number)
    read: list[int] = []
    whole = ExperimentLoader._summary_of
    monkeypatch.setattr(
        ExperimentLoader,
        "_summary_of",
        lambda self, i: read.append(i) or whole(self, i),  # type: ignore[func-returns-value]
    )
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        table, other = loader.episodes, loader.episodes
        assert (len(table), read) == (50, [])
        assert (table[-1].total_timesteps, table[7].total_timesteps) == (49, 7)
        assert read == [49, 7]
        assert table == other
        late = loader.episodes
    read.clear()
    assert [row.total_timesteps for row in late] == list(range(50))
    assert sorted(read) == list(range(50))


def test_opening_an_episode_looks_at_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        for number in range(50):
            synthetic.episode(file, number)
    scanned: list[str] = []
    names = episode_module.names
    monkeypatch.setattr(episode_module, "names", lambda group: scanned.append(group.name) or names(group))  # type: ignore[func-returns-value]
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        for number in loader.list_episodes():
            loader.get_episode(number)
            loader.get_episode_summary(number)
        with pytest.raises(ValueError, match="Episode 50 not found"):
            loader.get_episode(50)
        assert scanned.count("/episodes") == 1
        loader.refresh()
        assert len(loader.list_episodes()) == 50
        assert scanned.count("/episodes") == 2


def test_streams_are_described_once_for_all_episodes(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5", neural_sampling_rate=5) as file:
        for number in range(3):
            group = synthetic.episode(file, number)
            synthetic.timed(group["behavior"], range(10 + number), x=np.arange(10 + number))
        synthetic.timed(group["neural_states"], range(2), v=np.ones((2, 4)))
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        text = [" ".join(line.split()) for line in describe(loader).splitlines()]
    assert "sampling neural states every 5 timesteps" in text
    assert "behavior/x 10–12 rows int64" in text
    assert "neural_states/v 2 rows × 4 float64 in 1 of 3 episodes" in text


def test_without_pandas_the_error_says_what_to_install(
    loader: ExperimentLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        loader.episodes.to_pandas()


def test_weights_given_as_a_dict() -> None:
    changes = [{"timesteps": np.array([3]), "synapse_ids": np.array([1]), "new_weights": np.array([9.0])}]
    given = {"weights": np.array([1.0, 2.0]), "delays": np.array([5, 5])}
    assert_array_equal(weights_after(given, changes, {}), [1.0, 9.0])
    with pytest.raises(ReadError, match="columns"):
        weights_after({"w": np.ones(2)}, changes, {})


def test_a_change_of_one_of_two_connections_of_a_pair() -> None:
    ends = {"source_ids": np.array([0, 1, 0]), "target_ids": np.array([1, 0, 1])}
    change = {"timesteps": np.array([3]), "synapse_ids": np.array([1]), "new_weights": np.array([9.0])}
    assert weights_after(np.ones((2, 2)), [change], ends).toarray()[1, 0] == 9.0
    with pytest.raises(ReadError, match=r"synapse 2 shares its pair \(0, 1\)"):
        weights_after(np.ones((2, 2)), [{**change, "synapse_ids": np.array([2])}], ends)


def test_overview_and_quick_load(loader: ExperimentLoader, path: Path) -> None:
    text = describe(loader)
    assert text == str(loader)
    for word in (
        "by_hand",
        "flightrec 1.0",
        "optimized",
        "3 neurons",
        "rate",
        "behavior/x",
        "interrupted",
        "best_120001",
    ):
        assert word in text
    assert repr(loader).startswith("<ExperimentLoader by_hand: 2 episodes, completed")
    found = quick_load(path)
    assert_array_equal(found["episode"]["behavior"]["x"], np.arange(10))
    assert found["experiment"]["config"]["rate"] == 0.5
    with pytest.raises(ValueError, match="Episode 3 not found"):
        quick_load(path, 3)


def test_damaged_documents(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        file.create_group("config").attrs["json"] = np.bytes_(b"{")
        document(file.create_group("metadata"), "json", [1])
        group = file.create_group("network_structure/initial_weights")
        group.attrs["format"] = "csr"
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        for call in (
            loader.get_config,
            loader.get_metadata,
            loader.get_network_structure,
            loader.get_initial_weights,
        ):
            with pytest.raises(DamagedError):
                call()
        assert "damaged" in describe(loader)


@pytest.mark.parametrize("wrong", [1.5, "0", None])
def test_an_episode_id_is_an_integer(loader: ExperimentLoader, wrong: Any) -> None:
    for method in (loader.get_episode, loader.get_episode_summary):
        with pytest.raises(TypeError):
            method(wrong)
