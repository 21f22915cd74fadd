"""What other programs, kills and odd values do to a store: noticed, or put right, never passed on."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder.errors import DamagedError, OptionError, RepairError, StorageInputError
from recorder.h5.repair import repair
from recorder.h5.store.session import Session
from recorder.storage import HDF5Storage, HDF5StorageError

TOPOLOGY = (np.arange(4096).reshape(64, 64) % 7).astype(np.float64)


def _snapshot(storage: HDF5Storage, k: int) -> str:
    return storage.store_network_snapshot(float(k), TOPOLOGY, TOPOLOGY, TOPOLOGY[0])


def test_an_array_that_was_written_into_is_not_shared_and_is_found(tmp_path: Path) -> None:
    path = tmp_path / "store.h5"
    with HDF5Storage(path) as storage:
        first = _snapshot(storage, 1)
        assert storage.verify() == []
        with storage._file_context("a") as file:
            file[f"network_states/topology/{first}/adjacency"][0, 0] = 99.0
        second = _snapshot(storage, 2)
        found = storage.retrieve_network_snapshot(second)
        assert found is not None
        np.testing.assert_array_equal(found.adjacency_matrix, TOPOLOGY)
        assert "another program has written into it" in str(storage.verify()[0])
    with h5py.File(path, "r+") as file:
        file[f"network_states/neuron_states/{second}/states"][0] = 99.0
    with HDF5Storage(path) as storage:
        third = storage.retrieve_network_snapshot(_snapshot(storage, 3))
        assert third is not None
        np.testing.assert_array_equal(third.neuron_states, TOPOLOGY[0])


@pytest.mark.parametrize("what", ["long metadata", "label"])
def test_a_turned_byte_of_a_heap_is_noticed(tmp_path: Path, what: str) -> None:
    path = tmp_path / "store.h5"
    with HDF5Storage(path) as storage:
        train = storage.store_spike_train(1.0, [0.5], [1], metadata={"note": "QUIXOTIC" * 10_000})
        states = storage.store_reservoir_states(1.0, [1.0], "jabberwock")
    data = bytearray(path.read_bytes())
    mark, at = (b"QUIXOTIC", 4000) if what == "long metadata" else (b"jabberwock", 0)
    places = [k for k in range(len(data)) if data.startswith(mark, k)]
    heap = data.index(b"GCOL") if what == "label" else 0
    place = places[at] if what == "long metadata" else next(k for k in places if k > heap)
    data[place] ^= 1
    path.write_bytes(data)
    with HDF5Storage(path) as storage, pytest.raises(HDF5StorageError, match=r"not those that were|says '"):
        if what == "label":
            storage.retrieve_reservoir_states(states)
        else:
            storage.retrieve_spike_train(train)


def test_a_block_within_a_batch_is_all_or_nothing(storage: HDF5Storage) -> None:
    with pytest.raises(HDF5StorageError, match="undone the whole batch"), storage.batch():
        storage.store_reservoir_states(1.0, [1.0])
        with pytest.raises(StorageInputError):
            storage.store_many(
                [
                    ("spike_train", {"timestamp": 1.0, "spike_times": [1.0], "neuron_ids": [1]}),
                    ("spike_train", {"timestamp": math.nan, "spike_times": [1.0], "neuron_ids": [1]}),
                ]
            )
    assert storage.find() == []
    with storage.batch():
        storage.store_reservoir_states(1.0, [1.0])
        with pytest.raises(StorageInputError):
            storage.store_many([("spike_train", {"timestamp": "no", "spike_times": [], "neuron_ids": []})])
    assert len(storage.find()) == 1


def test_looking_cannot_write(storage: HDF5Storage) -> None:
    storage.store_reservoir_states(1.0, [1.0])
    with storage._file_context("r") as file:
        assert file.mode == "r"
    with storage.batch():
        storage.store_reservoir_states(2.0, [1.0])
        with storage._file_context("r") as file:
            assert file.mode == "r"
            assert list(file["activations/reservoir_states"]) == ["default_1000"]
    assert len(storage.find()) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chunk_size", "x"),
        ("chunk_size", 1.9),
        ("chunk_size", True),
        ("max_file_size", math.nan),
        ("max_file_size", 0),
        ("patience", "a"),
        ("patience", math.nan),
        ("compression_opts", 15),
        ("compression_opts", -1),
        ("compression_opts", "x"),
        ("compression_opts", 3.7),
    ],
)
def test_options_are_refused_before_there_is_a_file(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=name):
        HDF5Storage(tmp_path / "store.h5", **{name: value})
    assert not list(tmp_path.iterdir())


def test_numbers_of_other_sorts_are_numbers(storage: HDF5Storage) -> None:
    name = storage.store_compressed_spike_train(1.0, [1], {"compression_ratio": 10**400})
    found = storage.retrieve_compressed_spike_train(name)
    assert found is not None
    assert found[2] == {"compression_ratio": 10**400}
    assert len(storage.find(end_time=10**400)) == 1
    assert storage.find(start_time=10**400) == []
    assert storage.cleanup_old_data(np.int64(3), now=2.0) == 0
    with pytest.raises(StorageInputError, match="retention_days"):
        storage.cleanup_old_data(True)


def test_layers_may_have_slashes(storage: HDF5Storage) -> None:
    given = {"block/attention/key": np.arange(3.0), "block": np.arange(2)}
    found = storage.retrieve_layer_outputs(storage.store_layer_outputs(1.0, given))
    assert found is not None
    assert list(found[0]) == list(given)
    np.testing.assert_array_equal(found[0]["block/attention/key"], np.arange(3.0))
    with pytest.raises(StorageInputError, match="%2F"):
        storage.store_layer_outputs(2.0, {"a/b": [1.0], "a%2Fb": [2.0]})
    assert storage.verify() == []


def test_a_cleanup_that_was_killed_between_two_files_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HDF5Storage(tmp_path / "store.h5") as storage:
        storage.store_reservoir_states(1.0, [1.0])
        rotated = storage.rotate_file()
        storage.store_reservoir_states(1e9, [2.0])
        change = Session.change

        def killed(self: Session, **keywords: Any) -> Any:
            if self.path == storage.file_path:
                raise OSError("the kill")
            return change(self, **keywords)

        monkeypatch.setattr(Session, "change", killed)
        with pytest.raises(HDF5StorageError, match="the kill"):
            storage.cleanup_old_data(1, now=2e5)
        monkeypatch.undo()
        assert rotated.exists()
        storage.cleanup_old_data(1, now=2e5)
        assert not rotated.exists()
        assert storage.get_file_info()["rotated_files"] == []
        assert storage.verify() == []


def test_a_rotated_file_that_is_gone_is_a_finding(storage: HDF5Storage) -> None:
    storage.store_reservoir_states(1.0, [1.0])
    rotated = storage.rotate_file()
    rotated.unlink()
    assert f"{rotated.name}: is not there" in str(storage.verify()[0])


def test_a_store_is_not_repaired_like_a_recording(storage: HDF5Storage, tmp_path: Path) -> None:
    storage.store_reservoir_states(1.0, [1.0])
    path = storage.file_path
    lock = path.with_name(path.name + ".lock")
    assert lock.exists()
    with pytest.raises(RepairError, match="store of network states"):
        repair(path)
    with pytest.raises((RepairError, DamagedError), match="store of network states"):
        ExperimentLoader(path)
    done = subprocess.run(
        [sys.executable, "-m", "recorder", "repair", path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "which is whole now" in done.stdout
    storage.store_reservoir_states(2.0, [1.0])
    shutil.copy(path, tmp_path / "copy.h5")
    assert len(storage.find()) == 2
