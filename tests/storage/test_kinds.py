"""Objects of every kind come back as they were given, from the file that is written and from rotated ones."""

from __future__ import annotations

import json
import logging
import math
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse

from recorder.errors import FlightrecError, InputError, OptionError, TransferError
from recorder.storage import HDF5Storage, HDF5StorageError, NetworkSnapshot, StorageInputError
from tests.storage.objects import METADATA, Case, assert_equal, cases, sparse_matrix

REFERENCE = Path(__file__).parents[1] / "data" / "reference" / "hdf5storage_a"
CASES = cases()
T = 1_699_990_000.125


@pytest.mark.parametrize(
    "options", [{}, {"compression": "lzf", "compression_opts": None}, {"compression": None}]
)
def test_every_kind_comes_back_as_given(tmp_path: Path, options: dict[str, Any]) -> None:
    names = {}
    with HDF5Storage(tmp_path / "s.h5", chunk_size=64, **options) as storage:
        for case, what in CASES.items():
            names[case] = what.store(storage, T)
            what.check(storage, names[case], T)
        assert len(set(names.values())) == len(names)
        assert storage.verify() == []
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]
    with HDF5Storage(tmp_path / "s.h5") as storage:
        for case, what in CASES.items():
            what.check(storage, names[case], T)


def test_every_dataset_has_its_checksum_and_plain_h5py_reads_the_documented_paths(
    storage: HDF5Storage,
) -> None:
    dense, times, states = np.random.default_rng(0).random((10, 10)), np.arange(5.0), np.ones((3, 4))
    snapshot = storage.store_network_snapshot(T, dense, dense, states, METADATA)
    train = storage.store_spike_train(T, times, np.arange(5))
    for what in CASES.values():
        what.store(storage, T)
    missing = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not item.fletcher32:
            missing.append(name)

    with h5py.File(storage.file_path, "r") as file:
        file.visititems(look)
        group = file[f"network_states/topology/{snapshot}"]
        assert (group["adjacency"][:] == dense).all()
        assert (group.attrs["meta_network"], group.attrs["meta_n"]) == ("lsm", 24)
        assert group.attrs["timestamp"] == T
        assert group.attrs["shape"].tolist() == [10, 10]
        assert (file[f"network_states/weights/{snapshot}/weights"][:] == dense).all()
        assert (file[f"network_states/neuron_states/{snapshot}/states"][:] == states).all()
        spikes = file[f"spike_trains/raw_data/{train}"]
        assert (spikes["spike_times"][:] == times).all()
        assert (spikes.attrs["num_spikes"], spikes.attrs["num_neurons"]) == (5, 5)
    assert not missing


@pytest.mark.parametrize("form", ["csr_array", "csc_matrix", "coo_array", "lil_matrix", "dok_array"])
def test_sparse_matrices_keep_their_class(storage: HDF5Storage, form: str) -> None:
    matrix = getattr(scipy.sparse, form)(sparse_matrix(dtype=np.float32))
    name = storage.store_network_snapshot(T, matrix, matrix, np.zeros(3))
    found = storage.retrieve_network_snapshot(name)
    assert isinstance(found, NetworkSnapshot)
    assert_equal(found.adjacency_matrix, matrix)
    assert_equal(found.weight_matrix, matrix)


def test_what_consecutive_snapshots_share_is_stored_once(tmp_path: Path) -> None:
    rng, adjacency = np.random.default_rng(0), sparse_matrix(200) > 0
    with HDF5Storage(tmp_path / "s.h5") as storage:
        for number in range(10):
            if number == 5:
                storage.close()  # it is known again from the file
            weights = adjacency * rng.random((200, 200))
            storage.store_network_snapshot(T + number, adjacency, weights, rng.random(200))
        names = storage.get_network_snapshots_in_range(T, T + 9)
        with h5py.File(storage.file_path, "r") as file:
            assert (
                len(
                    {
                        h5py.h5o.get_info(file[f"network_states/topology/{n}/adjacency/data"].id).addr
                        for n in names
                    }
                )
                == 1
            )
            assert (
                len(
                    {
                        h5py.h5o.get_info(file[f"network_states/weights/{n}/weights/indices"].id).addr
                        for n in names
                    }
                )
                == 1
            )
        assert storage.cleanup_old_data(now=T + 5 + 30 * 86_400) == 5
        assert storage.compact().objects == 5
        for name in names[5:]:
            found = storage.retrieve_network_snapshot(name)
            assert found is not None
            assert_equal(found.adjacency_matrix, adjacency)
        assert storage.verify() == []


BAD: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "text": ("store_reservoir_states", (T, np.array(["a"])), "reservoir_states"),
    "objects": ("store_network_snapshot", (T, object(), 1, 2), "adjacency_matrix"),
    "metadata": ("store_network_snapshot", (T, [1], [2], [3], {"a": {"b": object()}}), "metadata.a.b"),
    "no mapping": ("store_spike_train", (T, [1.0], [1], None, [1]), "metadata"),
    "lengths": ("store_spike_train", (T, [1.0, 2.0], [1]), "neuron_ids"),
    "amplitudes": ("store_spike_train", (T, [1.0], [1], [1.0, 2.0]), "spike_amplitudes"),
    "time": ("store_reservoir_states", ("now", [1.0]), "timestamp"),
    "not a time": ("store_reservoir_states", (math.nan, [1.0]), "timestamp"),
    "label": ("store_reservoir_states", (T, [1.0], "a/b"), "reservoir_id"),
    "long label": ("store_plasticity_trace", (T, [1.0], "x" * 240), "plasticity_type"),
    "layer": ("store_layer_outputs", (T, {".": [1.0]}), "layer_outputs"),
    "metric": ("store_performance_metrics", (T, {"a": "high"}), "metrics/a"),
    "large metric": ("store_performance_metrics", (T, {"a": 2**53 + 1}), "metrics/a"),
    "parameters": ("store_compressed_spike_train", (T, [1], {"f": len}), "compression_params.f"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_by_name_before_anything_is_stored(storage: HDF5Storage, case: str) -> None:
    call, arguments, stream = BAD[case]
    storage.store_reservoir_states(T, [1.0])
    before = storage.file_path.read_bytes()
    with pytest.raises(StorageInputError) as caught:
        getattr(storage, call)(*arguments)
    assert caught.value.stream == stream
    assert caught.value.expected
    assert isinstance(caught.value, HDF5StorageError | InputError | FlightrecError)
    assert storage.file_path.read_bytes() == before


def test_a_failure_within_a_store_leaves_nothing(
    storage: HDF5Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = storage.store_reservoir_states(T, [1.0])
    with monkeypatch.context() as patch:
        patch.setattr(
            "recorder.h5.store.spikes.put", lambda *_: (_ for _ in ()).throw(OSError(28, "disk full"))
        )
        with pytest.raises(HDF5StorageError, match="disk full"):
            storage.store_spike_train(T, [1.0], [1])
    assert [entry.id for entry in storage.find()] == [kept]
    train = storage.store_spike_train(T, [1.0], [1])
    assert train == f"train_{int(T * 1000)}"
    assert storage.verify() == []


def test_ids_are_unique_within_a_millisecond_and_sort(storage: HDF5Storage) -> None:
    names = [storage.store_reservoir_states(T, [k]) for k in range(3)]
    with storage.batch():
        names += [storage.store_reservoir_states(T, [k]) for k in range(3, 40)]
    storage.close()
    names += [storage.store_reservoir_states(T, [k]) for k in range(40, 43)]
    assert names[0] == f"default_{int(T * 1000)}"
    assert sorted(set(names)) == names == [entry.id for entry in storage.find("reservoir", T, T)]
    for k, name in enumerate(names):
        found = storage.retrieve_reservoir_states(name)
        assert found is not None
        assert found[0].tolist() == [k]


def test_an_id_that_looks_like_a_sibling_of_another_label(storage: HDF5Storage) -> None:
    names = [
        storage.store_reservoir_states(1.0, [1], "a"),
        storage.store_reservoir_states(100.001, [2], "a_1000"),
    ]
    names += [storage.store_reservoir_states(1.0, [k], "a") for k in range(3)]
    assert len(set(names)) == 5
    assert {entry.id for entry in storage.find("reservoir", label="a")} == set(names) - {names[1]}


def test_ranges_by_time_kind_and_label(storage: HDF5Storage) -> None:
    rng = np.random.default_rng(1)
    times = rng.integers(0, 5000, 3000) / 8
    with storage.batch():
        names = [storage.store_reservoir_states(t, [0], f"r{k % 3}") for k, t in enumerate(times)]
    storage.store_spike_train(100.0, [], [])
    everything = list(zip(times.tolist(), names, strict=True))
    for _ in range(2):
        for start, end in [(-1e9, 1e9), (100, 100), (10.5, 12.25), (600, 700), (50, 40)]:
            wanted = sorted((t, n) for t, n in everything if start <= t <= end)
            assert [(e.timestamp, e.id) for e in storage.find("reservoir", start, end)] == wanted
        storage.close()
    assert len(storage.find(None, 100, 100)) == 1 + int((times == 100).sum())
    assert len(storage.find("reservoir", label="r1")) == 1000
    with pytest.raises(StorageInputError, match="kind"):
        storage.find("reservoirs")


def test_what_is_not_there_is_none_and_a_warning(
    storage: HDF5Storage, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("train_1", "", "a/b", "\0", "\ud800"):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert storage.retrieve_spike_train(name) is None
        assert "Spike train not found" in caplog.text


def test_the_file_context_gives_h5py_and_turns_errors_into_ours(
    storage: HDF5Storage, caplog: pytest.LogCaptureFixture
) -> None:
    with storage._file_context("a") as file:
        assert isinstance(file, h5py.File)
        file.create_group("mine").attrs["x"] = 1
        made = file["activations/reservoir_states"].create_dataset("own_5000", data=[1.0, 2.0])
        made.attrs["timestamp"], made.attrs["reservoir_id"] = 5.0, "own"
    with h5py.File(storage.file_path, "r") as file:
        assert file["mine"].attrs["x"] == 1
    assert [entry.id for entry in storage.find()] == ["own_5000"]
    found = storage.retrieve_reservoir_states("own_5000")
    assert found is not None
    assert found[0].tolist() == [1.0, 2.0]
    with pytest.raises(HDF5StorageError, match="unheard of"), storage._file_context("a") as file:
        del file["mine"]
        raise RuntimeError("unheard of")
    assert "HDF5 operation failed" in caplog.text
    with storage._file_context("r") as file:
        assert "mine" in file


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    for name in ("text.h5", "other.h5"):
        with pytest.raises(HDF5StorageError):
            HDF5Storage(tmp_path / name)
    for wrong in ({"compression": "zip"}, {"chunk_size": 0}, {"durability": "hope"}):
        with pytest.raises(OptionError):
            HDF5Storage(tmp_path / "new.h5", **wrong)  # type: ignore[arg-type]


def test_a_store_is_not_pickled(storage: HDF5Storage) -> None:
    import pickle

    with pytest.raises(TransferError):
        pickle.dumps(storage)


def inputs() -> tuple[dict[str, Any], Any]:
    return json.loads((REFERENCE / "inputs.json").read_text()), np.load(REFERENCE / "inputs.npz")


def check_reference(storage: HDF5Storage) -> None:
    given, arrays = inputs()
    for call in given["calls"]:
        found = getattr(storage, call["call"].replace("store_", "retrieve_"))(call["returned"])
        values = [arrays[name] for name in call.get("arrays", [])]
        parts = list(found if isinstance(found, tuple) else vars(found).values())
        if call["call"] == "store_layer_outputs":
            values = [dict(sorted(zip(call["layers"], values, strict=True)))]
        got = [p for p in parts if isinstance(p, np.ndarray) or (isinstance(p, dict) and "layers" in call)]
        assert_equal(got, values)
        assert call["timestamp"] in [part for part in parts if isinstance(part, float)]
        if call["call"] == "store_network_snapshot":
            plain = {k: v for k, v in (call["metadata"] or {}).items() if not isinstance(v, list)}
            assert found.metadata == plain
        if "metrics" in call:
            assert found == (call["metrics"], call["timestamp"], call["task_type"])
        if "compression_params" in call:
            assert found[2] == call["compression_params"]
        for label in ("reservoir_id", "plasticity_type", "mechanism"):
            assert label not in call or found[2] == call[label]
    asked = given["get_network_snapshots_in_range"]
    assert storage.get_network_snapshots_in_range(asked["start_time"], asked["end_time"]) == asked["returned"]


def test_files_of_the_older_layout_are_read_and_go_on_being_written_to(tmp_path: Path) -> None:
    path = tmp_path / "godly_ai_data.h5"
    shutil.copyfile(REFERENCE / path.name, path)
    before = path.read_bytes()
    given, _ = inputs()
    with HDF5Storage(path) as storage:
        check_reference(storage)
        info, wanted = storage.get_file_info(), given["get_file_info"]
        assert {key: info[key] for key in wanted if wanted[key] is not None and key != "file_path"} == {
            key: value for key, value in wanted.items() if value is not None and key != "file_path"
        }
        assert path.read_bytes() == before
        stored = [(what, t, what.store(storage, t)) for t in (T, T + 60, T + 1e6) for what in CASES.values()]
        check_all(storage, stored)
        check_reference_objects(storage)
        assert storage.verify() == []
        assert storage.get_file_info()["created_at"] == wanted["created_at"]
        assert storage.compact_file()
        check_all(storage, stored)
        check_reference_objects(storage)
        assert storage.verify() == []
    with HDF5Storage(path) as storage:
        check_all(storage, stored)
        check_reference_objects(storage)


def check_all(storage: HDF5Storage, stored: list[tuple[Case, float, str]]) -> None:
    for what, t, name in stored:
        what.check(storage, name, t)


def check_reference_objects(storage: HDF5Storage) -> None:
    given, _ = inputs()
    names = {entry.id for entry in storage.find()}
    assert {call["returned"] for call in given["calls"]} <= names
    asked = given["get_network_snapshots_in_range"]
    assert set(asked["returned"]) <= set(
        storage.get_network_snapshots_in_range(asked["start_time"], asked["end_time"])
    )


def test_what_the_older_program_left_half_written_stops_nothing(tmp_path: Path) -> None:
    """Two snapshots of one millisecond left a dataset where only groups belong."""
    path = tmp_path / "old.h5"
    shutil.copyfile(REFERENCE / "godly_ai_data.h5", path)
    with h5py.File(path, "r+") as file:
        file["network_states/topology"].create_dataset("adjacency", data=np.eye(3))
        file["network_states/topology"].create_group("snapshot_5")
    with HDF5Storage(path) as storage:
        given, _ = inputs()
        asked = given["get_network_snapshots_in_range"]
        for _ in range(2):
            found = storage.get_network_snapshots_in_range(asked["start_time"], asked["end_time"])
            assert found == asked["returned"]
            name = storage.store_network_snapshot(1.0, np.eye(3), np.eye(3), [1.0])
            assert storage.get_network_snapshots_in_range(0, 2)[-1] == name
        assert any("snapshot_5" in str(finding) for finding in storage.verify())
        assert storage.cleanup_old_data(0, now=2.0) == 2
        assert storage.compact_file() is False, "what is damaged is not to be lost to a copy"
        with storage._file_context("a") as file:
            del file["network_states/topology/snapshot_5"], file["network_states/topology/adjacency"]
        assert storage.compact_file()
        check_reference(storage)
