"""Rewards, weight changes and events of files written by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from loaders import DamagedError, ExperimentLoader, ReadError

REWARDS = [0.0, 0.0, 1.5, math.nan, math.nan, -0.0, 0.0, 0.0, 0.0, -1.0]
STEPS = [0, 1, 2, 5, 6, 7, 8, 9, 20, 21]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tables") / "a.h5"
    with synthetic.recording(found) as file:
        synthetic.rewards(synthetic.episode(file, 0)["rewards"], STEPS, REWARDS)
        group = synthetic.episode(file, 1)["rewards"]
        group.attrs["format"] = "values"
        synthetic.column(group, "timesteps", STEPS)
        synthetic.column(group, "values", REWARDS)
        synthetic.rewards(synthetic.episode(file, 2)["rewards"], STEPS[::-1], REWARDS)
        synthetic.episode(file, 3)
    return found


@given(number=st.integers(0, 2), start=st.none() | st.integers(-1, 23), stop=st.none() | st.integers(-1, 23))
def test_rewards_of_a_range(path: Path, number: int, start: int | None, stop: int | None) -> None:
    steps = np.array(STEPS[::-1] if number == 2 else STEPS)
    inside = (steps >= (-9 if start is None else start)) & (steps < (99 if stop is None else stop))
    with ExperimentLoader(path) as loader:
        found = loader.get_episode(number).get_rewards(start, stop)
        assert_array_equal(found["timesteps"], steps[inside])
        assert found["rewards"].dtype == np.float64
        assert found["rewards"].tobytes() == np.array(REWARDS)[inside].tobytes()


@pytest.mark.parametrize("number", [0, 1])
def test_reward_runs(path: Path, number: int) -> None:
    with ExperimentLoader(path) as loader:
        runs = loader.get_episode(number).get_reward_runs()
        assert runs["timesteps"].tolist() == [0, 2, 5, 7, 8, 21]
        assert runs["lengths"].tolist() == [2, 1, 2, 1, 3, 1]
        assert runs["values"].tobytes() == np.array([0.0, 1.5, math.nan, -0.0, 0.0, -1.0]).tobytes()
        empty = loader.get_episode(3)
        assert empty.get_rewards() == empty.get_reward_runs() == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g["lengths"].__setitem__(0, 2**32 - 1), "runs of 4294967303 rows for 10 timesteps"),
        (lambda g: g["lengths"].resize(3, axis=0), "differ in number"),
        (lambda g: g.attrs.update(format="tally"), "unknown format 'tally'"),
        (lambda g: g.__delitem__("values"), "rewards/values is missing"),
    ],
)
def test_damaged_rewards(tmp_path: Path, change: Any, message: str) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        group = synthetic.episode(file)["rewards"]
        synthetic.rewards(group, STEPS, REWARDS)
        change(group)
    with ExperimentLoader(tmp_path / "a.h5") as loader, pytest.raises(DamagedError, match=message):
        loader.get_episode(0).get_rewards()


def network(file: Any, weights: Any, given_as: str = "dense") -> None:
    group = file.create_group("network_structure")
    connections, stored = group.create_group("connections"), group.create_group("initial_weights")
    group.create_group("neurons")["neuron_ids"] = np.arange(3)
    connections["source_ids"], connections["target_ids"] = np.array([0, 0, 2, 1]), np.array([1, 2, 0, 1])
    if np.ndim(weights) == 1:
        stored.attrs["format"] = "dense_1d"
        stored["weights"] = weights
        return
    matrix = scipy.sparse.csr_array(weights)
    stored.attrs.update({"format": "csr", "shape": np.array(matrix.shape), "given": given_as})
    stored["indptr"], stored["indices"], stored["data"] = matrix.indptr, matrix.indices, matrix.data


def changes(group: Any, rows: list[tuple[int, Any, float, float]], **more: Any) -> None:
    group.attrs["format"] = "table"
    steps, ids, old, new = (np.array(side) for side in zip(*rows, strict=True))
    synthetic.column(group, "timesteps", steps)
    names = ["synapse_ids"] if ids.ndim == 1 else ["source_ids", "target_ids"]
    for name, values in zip(names, ids.reshape(len(rows), -1).T, strict=True):
        synthetic.column(group, name, values)
    synthetic.column(group, "old_weights", old)
    synthetic.column(group, "new_weights", new)
    for name, values in more.items():
        synthetic.column(group, name, values)


def test_weight_changes_sorted_by_time(tmp_path: Path) -> None:
    rows = [(5, 1, 0.0, 0.5), (3, 2, 1.0, 0.75), (5, 1, 0.5, 0.25), (3, 0, 2.0, 2.5)]
    with synthetic.recording(tmp_path / "a.h5") as file:
        changes(synthetic.episode(file)["weight_changes"], rows, rule=np.array([1, 2, 3, 4], np.int8))
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        found = loader.get_episode(0).get_weight_changes()
        assert list(found) == ["timesteps", "synapse_ids", "old_weights", "new_weights", "deltas", "rule"]
        assert found["timesteps"].tolist() == [3, 3, 5, 5]
        assert found["synapse_ids"].tolist() == [2, 0, 1, 1]
        assert found["rule"].tolist() == [2, 4, 1, 3]
        assert found["deltas"].tolist() == [-0.25, 0.5, 0.5, -0.25]
        with pytest.raises(ReadError, match="no initial weights"):
            loader.get_episode(0).get_weight_matrix()


def test_weight_vector_and_matrix_over_episodes(tmp_path: Path) -> None:
    first = [(9, 1, 0.0, 0.5), (3, 1, 0.0, 9.0), (9, 3, 0.0, 7.0)]
    second = [(2, 1, 0.5, -1.0), (4, 0, 0.0, 4.0)]
    vector = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    dense = np.array([[0, 0.1, 0.2], [0, 0.4, 0], [0.3, 0, 0]])
    for name, weights in (("vector", vector), ("matrix", dense)):
        with synthetic.recording(tmp_path / f"{name}.h5") as file:
            network(file, weights)
            changes(synthetic.episode(file, 0)["weight_changes"], first)
            synthetic.episode(file, 1)
            changes(synthetic.episode(file, 2)["weight_changes"], second)
    with ExperimentLoader(tmp_path / "vector.h5") as loader:
        exact = vector.astype(np.float64)
        assert_array_equal(loader.get_episode(0).get_weight_matrix(2), exact)
        assert_array_equal(loader.get_episode(0).get_weight_matrix(3), [exact[0], 9.0, exact[2], exact[3]])
        assert_array_equal(loader.get_episode(1).get_weight_matrix(0), [exact[0], 0.5, exact[2], 7.0])
        assert_array_equal(loader.get_episode(2).get_weight_matrix(2), [exact[0], -1.0, exact[2], 7.0])
        assert_array_equal(loader.get_episode(2).get_weight_matrix(), [4.0, -1.0, exact[2], 7.0])
    with ExperimentLoader(tmp_path / "matrix.h5") as loader:
        found = loader.get_episode(2).get_weight_matrix(2)
        assert found.format == "csr"
        assert_array_equal(found.toarray(), [[0, 0.1, -1.0], [0, 7.0, 0], [0.3, 0, 0]])


def test_pairs_name_entries(tmp_path: Path) -> None:
    rows = [(1, (2, 0), 0.3, 0.0), (2, (0, 2), 0.2, 5.0), (2, (0, 2), 5.0, 6.0)]
    for name, weights in (("vector", np.arange(4.0)), ("matrix", np.eye(3)), ("wide", np.ones((3, 1)))):
        with synthetic.recording(tmp_path / f"{name}.h5") as file:
            network(file, weights)
            changes(synthetic.episode(file)["weight_changes"], rows)
    with ExperimentLoader(tmp_path / "vector.h5") as loader:
        assert loader.get_episode(0).get_weight_matrix().tolist() == [0.0, 6.0, 0.0, 3.0]
    with ExperimentLoader(tmp_path / "matrix.h5") as loader:
        assert loader.get_episode(0).get_weight_matrix().toarray().tolist() == [
            [1, 0, 6],
            [0, 1, 0],
            [0, 0, 1],
        ]
    with (
        ExperimentLoader(tmp_path / "wide.h5") as loader,
        pytest.raises(ReadError, match=r"target 2, .* have 1"),
    ):
        loader.get_episode(0).get_weight_matrix()


EVENTS: list[tuple[int, str, dict[str, Any]]] = [
    (5, "found", {"x": 1.5, "hist": [1, 2, 3], "name": "a"}),
    (9, "lost", {}),
    (7, "found", {"x": 2.5, "hist": [4, 5, 6], "name": "bcd"}),
    (7, "found", {"x": 3.5, "hist": [7, 8, 9], "name": "", "rare": {"deep": [1]}, "timesteps": 4}),
    (8, "ragged/type", {"v": [1], "flag": True}),
    (9, "ragged/type", {"v": [1, 2], "flag": False}),
    (9, "mixed", {"v": 1}),
    (9, "mixed", {"v": 1.0}),
]


def test_events_as_columns_and_in_order(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        synthetic.events(synthetic.episode(file)["events"], EVENTS)
        synthetic.episode(file, 1)
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        episode = loader.get_episode(0)
        assert list(episode.iter_events()) == EVENTS
        found = episode.get_events()
        assert list(found) == ["found", "lost", "ragged/type", "mixed"]
        first = found["found"]
        assert list(first) == [
            *("timesteps", "x", "hist", "name", "rare", "rare_timesteps"),
            *("data/timesteps", "timesteps_timesteps"),
        ]
        assert_array_equal(first["timesteps"], [5, 7, 7])
        assert_array_equal(first["x"], [1.5, 2.5, 3.5])
        assert_array_equal(first["hist"], [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
        assert first["hist"].dtype == np.int64
        assert first["name"].tolist() == ["a", "bcd", ""]
        assert first["rare"].tolist() == [{"deep": [1]}]
        assert first["rare_timesteps"].tolist() == [7]
        assert first["data/timesteps"].tolist() == [4]
        assert found["lost"]["timesteps"].tolist() == [9]
        assert found["ragged/type"]["v"].tolist() == [[1], [1, 2]]
        assert found["ragged/type"]["flag"].dtype == bool
        assert [type(value) for value in found["mixed"]["v"]] == [int, float]
        assert episode.get_events("lost").keys() == {"timesteps"}
        assert episode.get_events("never") == {}
        assert loader.get_episode(1).get_events() == {}
        assert list(loader.get_episode(1).iter_events()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g["ends"].__setitem__(1, 3), "ends do not cut"),
        (lambda g: g["ends"].__setitem__(-1, 10**9), "ends do not cut"),
        (lambda g: g["data"].__setitem__(0, 0), "no document"),
        (lambda g: g["data"].resize(10, axis=0), "ends do not cut"),
        (lambda g: g.__delitem__("data"), "events/data is missing"),
        (lambda g: g.attrs.update(format="xml"), "unknown format 'xml'"),
    ],
)
def test_damaged_events(tmp_path: Path, change: Any, message: str) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        group = synthetic.episode(file)["events"]
        synthetic.events(group, EVENTS)
        change(group)
    with ExperimentLoader(tmp_path / "a.h5") as loader, pytest.raises(DamagedError, match=message):
        loader.get_episode(0).get_events()
