"""What both exporters have from their base: folders, what is saved once, side files, secrets."""

import json
import os
import sys
import threading
from datetime import datetime

import h5py
import numpy as np
import pytest
import scipy.sparse

from recorder import recording, utils
from recorder.errors import DuplicateError, InputError, InvalidNameError
from recorder.h5.network import get_network
from recorder.h5.tree import get_document, read_tree
from recorder.standard import StandardDataExporter


class Frozen(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz=None):
        return cls(2026, 5, 6, 7, 8, 9, tzinfo=tz)


@pytest.fixture
def exporter(tmp_path):
    with StandardDataExporter("run", tmp_path) as exporter:
        yield exporter


def test_one_second_makes_distinct_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "datetime", Frozen)
    names = []
    for _ in range(3):
        with StandardDataExporter("run", tmp_path / "deep" / "er") as exporter:
            names.append(exporter.output_dir.name)
            assert exporter.timestamp == "20260506_070809"
    assert names == ["run_20260506_070809", "run_20260506_070809_2", "run_20260506_070809_3"]


def test_folders_are_made_exclusively(tmp_path):
    made = []

    def make():
        made.extend(utils.create_output_dir(tmp_path, "x", "t") for _ in range(20))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 80


def test_config_is_replaced(exporter):
    exporter.save_config({"a": 1, "gone": 2})
    config = {
        "lr": 0.1,
        "name": "ä",
        "none": None,
        "nested": {"layers": [1, (2, 3)], "w": np.arange(3)},
        "json": 5,
        "weird": {1: float("nan")},
        "long": "x" * 100_000,
        "api_key": "mine",
    }
    exporter.save_config(config)
    group = exporter.h5_file["config"]
    stored = get_document(group, "json")
    assert stored["nested"]["w"].tolist() == [0, 1, 2]
    assert stored["nested"]["layers"] == [1, (2, 3)]
    assert stored["none"] is None
    assert stored["long"] == config["long"]
    assert stored["api_key"] == "mine"
    assert dict(group.attrs) == {"lr": 0.1, "name": "ä", "api_key": "mine"}
    side = json.loads((exporter.output_dir / "config.json").read_text())
    assert side["nested"] == {"layers": [1, [2, 3]], "w": [0, 1, 2]}
    exporter.save_config({})
    assert get_document(group, "json") == {}
    assert set(group.attrs) == {"json"}


def test_refused_config_changes_nothing(exporter):
    exporter.save_config({"a": 1})
    for wrong, place in (({"a": {"b": object()}}, r"config\.a\.b"), ([1], "config")):
        with pytest.raises(InputError, match=place):
            exporter.save_config(wrong)
    assert get_document(exporter.h5_file["config"], "json") == {"a": 1}


def test_metadata_is_merged(exporter):
    exporter.save_metadata({"a": 1, "b": (1,)})
    exporter.save_metadata({"a": 2, "c": None})
    assert get_document(exporter.h5_file["metadata"], "json") == {"a": 2, "b": (1,), "c": None}
    assert json.loads((exporter.output_dir / "metadata.json").read_text()) == {"a": 2, "b": [1], "c": None}


def test_side_files_never_fail(exporter, caplog):
    (exporter.output_dir / "config.json").mkdir()
    exporter.save_config({"a": 1})
    assert "config.json" in caplog.text
    exporter.save_metadata({"s": {1, 2}, "c": 1j, "bad": "\ud800", "big": np.zeros(5000), "b": b"x"})
    side = json.loads((exporter.output_dir / "metadata.json").read_text())
    assert side["big"] == "array of float64 with shape (5000,)"
    assert sorted(side["s"]) == [1, 2]


def test_runtime_is_there_and_has_no_secrets(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--api-key=hunter2"])
    monkeypatch.setenv("PASSWORD", "hunter2")
    with StandardDataExporter("run", tmp_path) as exporter:
        info = exporter.save_runtime_info()
        runtime = dict(exporter.h5_file["runtime"].attrs)
        assert exporter.h5_file.attrs["command_line"] == "run.py '--api-key=***'"
    assert runtime == {key: value for key, value in info.items() if value is not None}
    assert {"python_version", "platform", "hostname", "numpy_version", "h5py_version"} <= set(runtime)
    assert json.loads((exporter.output_dir / "runtime_info.json").read_text()) == info
    for path in exporter.output_dir.iterdir():
        assert b"hunter2" not in path.read_bytes()


def test_saved_once(exporter, tmp_path, monkeypatch):
    script = tmp_path / "a.py"
    script.write_text("print('ä')", encoding="utf-8")
    with pytest.raises(InputError):
        exporter.save_code_snapshot([script, tmp_path / "missing.py"])
    (copy,) = exporter.save_code_snapshot([script])
    assert copy == str(exporter.output_dir / "code_snapshot" / "a.py")
    group = exporter.h5_file["code_snapshot"]
    assert group["a.py"][:].tobytes().decode() == "print('ä')"
    assert get_document(group, "saved_files") == ["a.py"]
    monkeypatch.setattr("recorder.saving.git_info", lambda: {"dirty": True, "uncommitted_files": ["?? a"]})
    exporter.save_git_info()
    assert dict(exporter.h5_file["git_info"].attrs) == {"dirty": "True", "uncommitted_files": '["?? a"]'}
    exporter.save_network_structure({"neuron_ids": [0]}, {"source_ids": [0], "target_ids": [0]})
    again = [
        lambda: exporter.save_code_snapshot([script]),
        exporter.save_git_info,
        lambda: exporter.save_network_structure({}, {}),
    ]
    for call in again:
        with pytest.raises(DuplicateError):
            call()


@pytest.mark.parametrize("info", [{}, None])
def test_no_git(exporter, monkeypatch, info):
    monkeypatch.setattr("recorder.saving.git_info", lambda: info)
    assert exporter.save_git_info() == info
    assert exporter.save_git_info() == info
    assert "git_info" not in exporter.h5_file


@pytest.mark.parametrize(
    "kind", ["dense", "csr_array", "coo_matrix", "lil_array", "dok_matrix", "1-D", "columns", "none"]
)
def test_network(exporter, kind):
    dense = np.array([[0, -0.0, np.nan], [1, 0, 0]])
    weights = {
        "dense": dense,
        "1-D": np.arange(3),
        "columns": {"values": [1, 2], "rule": "stdp"},
        "none": None,
    }
    given = weights[kind] if kind in weights else getattr(scipy.sparse, kind)(dense)
    neurons = {"neuron_ids": np.arange(3), "types": ["exc", "inh", "ä"], "pos": np.zeros((3, 2), "f4")}
    connections = {"source_ids": [0, 1], "target_ids": [1, 2], "names": np.array(["a", "bc"])}
    exporter.save_network_structure(neurons, connections, given)
    stored = get_network(exporter.h5_file)
    assert stored["neurons"]["types"].tolist() == neurons["types"]
    assert stored["neurons"]["pos"].dtype == np.float32
    assert stored["connections"]["names"].tolist() == ["a", "bc"]
    assert exporter.h5_file.attrs["n_neurons"] == 3
    assert exporter.h5_file.attrs["n_connections"] == 2
    if kind == "none":
        assert "initial_weights" not in stored
    elif kind == "columns":
        assert stored["initial_weights"]["rule"] == "stdp"
    elif kind == "1-D":
        assert stored["initial_weights"].tolist() == [0, 1, 2]
    else:
        back = stored["initial_weights"]
        assert type(back) is type(given)
        array, expected = (x.toarray() if kind != "dense" else x for x in (back, given))
        assert array.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ([1], {}),
        ({"neuron_ids": [0], "a/b": [1]}, {}),
        ({"neuron_ids": [0]}, {"source_ids": object()}),
        ({"neuron_ids": [0]}, {}, np.zeros((2, 2, 2))),
        ({"neuron_ids": [0]}, {}, np.array([["a"]])),
        ({"neuron_ids": [0]}, {}, {"w": object()}),
        ({"neuron_ids": [0]}, {}, [[1], [1, 2]]),
    ],
)
def test_a_refused_network_writes_nothing(exporter, arguments):
    with pytest.raises(InputError):
        exporter.save_network_structure(*arguments)
    assert not len(exporter.h5_file["network_structure"])
    exporter.save_network_structure({"neuron_ids": [0]}, {"source_ids": [], "target_ids": []})


def test_network_validation_warns(exporter):
    with pytest.warns(UserWarning, match="Network validation: neurons missing required field 'neuron_ids'"):
        exporter.save_network_structure({"x": [1]}, {"source_ids": [0], "target_ids": [0]})


def test_checkpoints(exporter):
    data = {
        "w": np.eye(2),
        "n": 3,
        "name": "ä",
        "opt": {"m": np.zeros((0, 2)), "names": ["a"]},
        "list": [1, "a"],
    }
    data["sparse"] = scipy.sparse.eye_array(3, format="csc")
    for _ in range(3):
        exporter.save_checkpoint("best", data)
    groups = exporter.h5_file["checkpoints"]
    assert len(groups) == 3
    for name, group in groups.items():
        assert name.startswith("best_")
        assert group.attrs["episode_count"] == 0
        tree = read_tree(group)
        assert tree["w"].tolist() == [[1, 0], [0, 1]]
        assert (tree["n"], tree["name"], tree["list"]) == (3, "ä", [1, "a"])
        assert tree["opt"]["m"].shape == (0, 2)
        assert tree["opt"]["names"].tolist() == ["a"]
        assert tree["sparse"].format == "csc"
        assert set(tree) == set(data)
    for name in ("a/b", "", "x" * 250):
        with pytest.raises(InvalidNameError):
            exporter.save_checkpoint(name, {})
    with pytest.raises(InputError):
        exporter.save_checkpoint("bad", {"a": object()})
    assert len(groups) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_close(exporter):
    pid = os.fork()
    if not pid:
        exporter.close()
        os._exit(0 if exporter.h5_file else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    exporter.start_episode()


def test_an_error_while_closing_does_not_hide_the_first(tmp_path, monkeypatch):
    exporter = StandardDataExporter("run", tmp_path)
    monkeypatch.setattr(exporter, "_close_file", lambda _: 1 / 0)
    with pytest.raises(KeyError, match="mine") as caught, exporter:
        raise KeyError("mine")
    assert "failed too" in caught.value.__notes__[0]
    exporter.h5_file.close()


def test_files_are_standard_hdf5(exporter):
    exporter.save_checkpoint("c", {"text": np.array(["a", "ä"]), "empty": np.array([], "f4"), "z": 1.5})
    exporter.close()
    with h5py.File(exporter.h5_path, "r") as file:
        (group,) = file["checkpoints"].values()
        assert group["text"].asstr()[:].tolist() == ["a", "ä"]
        assert group["empty"].shape == (0,)
        assert group["z"][()] == 1.5
