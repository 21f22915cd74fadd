"""Recordings of the original system, read value by value against what was logged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import EpisodeData, ExperimentLoader, quick_load

DATA = Path(__file__).parent / "data" / "reference"
RECORDINGS = ("snn_optimized_a", "snn_standard_a")


class Given:
    """What was logged: ``inputs.json`` and ``inputs.npz`` of a reference folder."""

    def __init__(self, name: str) -> None:
        folder = DATA / name
        self.path = next(path for path in folder.iterdir() if path.is_dir())
        self.calls: dict[str, Any] = json.loads((folder / "inputs.json").read_text())
        with np.load(folder / "inputs.npz") as arrays:
            self.arrays = dict(arrays)
        self.optimized = self.calls["exporter"] == "optimized"

    def below(self, prefix: str) -> dict[str, Any]:
        return {name[len(prefix) :]: array for name, array in self.arrays.items() if name.startswith(prefix)}


@pytest.fixture(scope="module", params=RECORDINGS)
def given(request: pytest.FixtureRequest) -> Given:
    return Given(request.param)


@pytest.fixture
def loader(given: Given) -> Iterator[ExperimentLoader]:
    with ExperimentLoader(given.path) as opened:
        yield opened


def episodes(given: Given, loader: ExperimentLoader) -> Iterator[tuple[dict[str, Any], EpisodeData]]:
    for call in given.calls["episodes"]:
        yield call, loader.get_episode(call["episode_id"])


def sampled(timesteps: Any, rate: int) -> Any:
    """Rows that are kept: at least ``rate`` timesteps after the last kept one."""
    kept, last = [], -rate
    for row, step in enumerate(timesteps):
        if step - last >= rate:
            kept.append(row)
            last = step
    return kept


def same(found: Any, expected: Any) -> None:
    expected = np.asarray(expected)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def plain(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in data.items()}


def test_documents_have_their_python_types(given: Given, loader: ExperimentLoader) -> None:
    config = loader.get_config()
    assert config == given.calls["config"]
    assert {key: type(value) for key, value in config.items()} == {
        key: type(value) for key, value in given.calls["config"].items()
    }
    metadata = loader.get_metadata()
    assert {key: metadata[key] for key in given.calls["metadata"]} == given.calls["metadata"]
    assert metadata["neural_sampling_rate"] == given.calls["constructor"]["neural_sampling_rate"]
    assert metadata["experiment_name"] == given.calls["experiment_name"]
    assert metadata["simulation_dt"] == 1.0
    assert loader.get_git_info() == given.calls["git"]
    assert loader.get_runtime_info()["hostname"] == "lab-host"
    assert loader.get_code_snapshot() == {"placeholder.py": "# placeholder\n"}


def test_network(given: Given, loader: ExperimentLoader) -> None:
    network = loader.get_network_structure()
    for part in ("neurons", "connections"):
        columns = given.below(f"net/{part}/")
        assert network[part].keys() == columns.keys()
        for key, column in columns.items():
            same(network[part][key], column)
    same(loader.get_initial_weights(), given.arrays["net/initial_weights"])
    stored = network["initial_weights"]
    if given.optimized:
        assert stored.keys() == {"format", "weights"}
        assert stored["format"] == "dense_1d"
    else:
        assert stored["format"] == "sparse"
        assert stored["shape"] == (5, 5)
        dense = given.arrays["net/initial_weights"]
        same(stored["values"], dense[tuple(stored["indices"].T)])


def test_checkpoints(given: Given, loader: ExperimentLoader) -> None:
    found = loader.get_all_checkpoints()
    assert [name.rpartition("_")[0] for name in found] == ["final_weights"]
    (values,) = found.values()
    for key, array in given.below("checkpoint/final_weights/").items():
        same(values[key], array)


def test_episode_list_and_summaries(given: Given, loader: ExperimentLoader) -> None:
    ids = [call["episode_id"] for call in given.calls["episodes"]]
    assert loader.list_episodes() == ids
    with pytest.raises(ValueError, match=r"Episode 99 not found in .*experiment_data.h5"):
        loader.get_episode(99)
    for call, episode in episodes(given, loader):
        facts = episode.get_metadata()
        summary = loader.get_episode_summary(call["episode_id"])
        assert facts["total_timesteps"] == call["steps"]
        assert facts["success"] is call["success"]
        assert {key: summary[key] for key in call["summary"]} == call["summary"]
        assert {key: summary[key] for key in facts} == facts
    assert [row["episode_id"] for row in loader.get_all_summaries()] == ids
    assert [row.total_timesteps for row in loader.episodes] == [c["steps"] for c in given.calls["episodes"]]
    assert loader.episodes[0].summary == given.calls["episodes"][0]["summary"]


def test_neural_states_and_behavior(given: Given, loader: ExperimentLoader) -> None:
    rate = given.calls["constructor"]["neural_sampling_rate"]
    for call, episode in episodes(given, loader):
        tag = call["tag"]
        steps = given.arrays[f"{tag}/timesteps"]
        rows = sampled(steps, rate)
        neural = episode.get_neural_states()
        same(neural.pop("timesteps"), steps[rows])
        assert neural.keys() == given.below(f"{tag}/neural/").keys()
        for key, column in given.below(f"{tag}/neural/").items():
            same(neural[key], column[rows])
            same(episode.get_neural_states(1, 3)[key], column[rows][1:3])
            same(episode.stream(f"neural_states/{key}").read(50, 101), column[rows][1:3])
            same(
                episode.get_neural_states(timesteps=(50, 101), neurons=[1, 3])[key], column[rows][1:3, [1, 3]]
            )
        behavior = episode.get_behavior()
        same(behavior.pop("timesteps"), steps)
        assert behavior.keys() == given.below(f"{tag}/behavior/").keys()
        for key, column in given.below(f"{tag}/behavior/").items():
            same(behavior[key], column)
            same(episode.stream(f"behavior/{key}").read(7, 70), column[7:70])


def test_spikes(given: Given, loader: ExperimentLoader) -> None:
    for call, episode in episodes(given, loader):
        raster, steps = given.arrays[f"{call['tag']}/spikes"], given.arrays[f"{call['tag']}/timesteps"]
        rows, neurons = np.nonzero(raster)
        found = episode.get_spikes()
        assert found.keys() == {"timesteps", "neuron_ids"}
        same(found["timesteps"], steps[rows])
        same(found["neuron_ids"], neurons)
        part = episode.get_spikes(20, 60, neurons=[2, 4])
        inside = (steps[rows] >= 20) & (steps[rows] < 60) & np.isin(neurons, [2, 4])
        same(part["timesteps"], steps[rows][inside])
        same(part["neuron_ids"], neurons[inside])
        spoke = np.flatnonzero(raster.any(axis=1))
        assert episode.get_spikes_as_events() == [
            {"timestep": int(steps[row]), "neuron_ids": np.flatnonzero(raster[row]).tolist()} for row in spoke
        ]
        assert episode.n_neurons == raster.shape[1]
        same(episode.spike_timesteps(), steps[spoke])
        same(episode.get_spike_raster(), raster[spoke])
        same(episode.get_spike_matrix().toarray(), raster[spoke])


def test_rewards(given: Given, loader: ExperimentLoader) -> None:
    for call, episode in episodes(given, loader):
        reward = given.arrays.get(f"{call['tag']}/reward")
        found = episode.get_rewards()
        if reward is None or not reward.any():
            assert found == {}
            assert episode.get_reward_runs() == {}
            continue
        rows = np.flatnonzero(reward)
        same(found["timesteps"], given.arrays[f"{call['tag']}/timesteps"][rows])
        same(found["rewards"], reward[rows].astype(np.float32 if given.optimized else np.float64))
        runs = episode.get_reward_runs()
        same(np.repeat(runs["values"], runs["lengths"]), found["rewards"])


def test_weight_changes(given: Given, loader: ExperimentLoader) -> None:
    real, whole = (np.float32, np.int32) if given.optimized else (np.float64, np.int64)
    for call, episode in episodes(given, loader):
        found = episode.get_weight_changes()
        pairs = isinstance(call["weight_changes"][0][1], list)
        names = ["source_ids", "target_ids"] if pairs else ["synapse_ids"]
        assert list(found) == ["timesteps", *names, "old_weights", "new_weights", "deltas"]
        # In the file, changes of one timestep may have swapped places: its exporter's sort was not stable.
        order = np.lexsort([found[name] for name in [*reversed(names), "timesteps"]])
        changes = sorted(call["weight_changes"], key=lambda change: (change[0], change[1]))
        same(found["timesteps"], np.array([change[0] for change in changes]))
        old, new = (np.array([change[i] for change in changes]) for i in (2, 3))
        same(found["old_weights"][order], old.astype(real))
        same(found["new_weights"][order], new.astype(real))
        same(found["deltas"][order], (new - old).astype(real))
        ids = np.array([change[1] for change in changes], whole).reshape(len(changes), -1)
        for name, column in zip(names, ids.T, strict=True):
            same(found[name][order], column)


def test_weight_vector_over_time() -> None:
    given = Given("snn_optimized_a")
    with ExperimentLoader(given.path) as loader:
        expected = given.arrays["net/initial_weights"].astype(np.float64)
        for step, synapse, _, new in given.calls["episodes"][0]["weight_changes"]:
            if step <= 63:
                expected[synapse] = np.float32(new)
        np.testing.assert_array_equal(loader.get_episode(0).get_weight_matrix(63), expected)


def test_events(given: Given, loader: ExperimentLoader) -> None:
    for call, episode in episodes(given, loader):
        logged = call.get("events", [])
        found = episode.get_events()
        assert found.keys() == {kind for _, kind, _ in logged}
        for kind, columns in found.items():
            mine = [(step, data) for step, name, data in logged if name == kind]
            assert episode.get_events(kind).keys() == columns.keys()
            for key in mine[0][1]:
                steps = columns[f"{key}_timesteps" if given.optimized else "timesteps"]
                same(steps, np.array([step for step, _ in mine]))
                same(columns[key], np.array([data[key] for _, data in mine]))
        again = [(step, kind, plain(data)) for step, kind, data in episode.iter_events()]
        assert again == sorted(
            ((step, kind, data) for step, kind, data in logged), key=lambda event: event[0]
        )
        assert episode.get_events("never") == {}


def test_static_data(given: Given, loader: ExperimentLoader) -> None:
    for call, episode in episodes(given, loader):
        assert episode.list_static_data() == call.get("static", [])
        for name in call.get("static", []):
            values = episode.get_static_data(name)
            assert values.keys() == given.below(f"{call['tag']}/static/{name}/").keys()
            for key, array in given.below(f"{call['tag']}/static/{name}/").items():
                same(values[key], array)
        assert episode.get_static_data("nothing") == {}
        assert episode.get_final_state() == {}


def test_quick_load_and_overview(given: Given, loader: ExperimentLoader) -> None:
    found = quick_load(given.path, 1)
    assert found.keys() == {"experiment", "episode"}
    assert found["experiment"].keys() == {"metadata", "config", "network"}
    assert list(found["episode"]) == [
        "metadata",
        "neural_states",
        "spikes",
        "behavior",
        "rewards",
        "weight_changes",
        "events",
        "final_state",
    ]
    assert found["episode"]["spikes"] == loader.get_episode(1).get_spikes_as_events()
    text = str(loader)
    for word in (
        "demo_run",
        "original system",
        "neurons",
        "learning_rate",
        "neural_states/v",
        "final_weights",
    ):
        assert word in text


def test_optimized_matrix_is_read(tmp_path: Path) -> None:
    """The original's own loader failed on these: coordinates under the name ``csr``."""
    import h5py

    path = tmp_path / "matrix.h5"
    dense = np.array([[0.0, 1.5], [-2.0, 0.0], [0.0, 3.0]])
    with h5py.File(path, "w") as file:
        file.create_group("episodes")
        weights = file.create_group("network_structure/initial_weights")
        file.create_group("network_structure/neurons")
        rows, columns = np.nonzero(dense)
        weights.attrs.update({"format": "csr", "shape": np.array(dense.shape), "nnz": 3, "sparsity": 0.5})
        weights["row_indices"], weights["col_indices"], weights["values"] = (
            rows,
            columns,
            dense[rows, columns],
        )
        config = file.create_group("config")
        config.attrs["is_compressed"] = True
        config.attrs["label_compressed"] = "text"
    with ExperimentLoader(path) as loader:
        same(loader.get_initial_weights(), dense)
        stored = loader.get_network_structure()["initial_weights"]
        assert stored.keys() == {"format", "shape", "nnz", "sparsity", "row_indices", "col_indices", "values"}
        assert loader.get_config() == {"is_compressed": True, "label_compressed": "text"}
        assert loader.list_episodes() == []
        assert loader.get_git_info() is None
        assert loader.get_runtime_info() == {}
