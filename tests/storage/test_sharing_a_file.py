"""Threads, processes and other programs at one file."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from recorder.errors import StorageLockedError
from recorder.storage import HDF5Storage
from tests.crash.harness import ask, fork


def test_threads_share_a_store(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    names: list[str] = []
    with HDF5Storage(tmp_path / "s.h5") as storage:

        def work(number: int) -> None:
            try:
                for k in range(20):
                    name = storage.store_spike_train(1.0, np.full(5, number), np.full(5, k))
                    names.append(name)
                    found = storage.retrieve_spike_train(name)
                    assert found is not None
                    assert (found.spike_times[0], found.neuron_ids[0]) == (number, k)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors, errors
        assert len(set(names)) == 80
        assert sorted(names) == [entry.id for entry in storage.find()]
        assert storage.verify() == []


def test_a_thread_reads_while_another_is_in_a_batch_and_sees_all_or_nothing(tmp_path: Path) -> None:
    seen = []
    with HDF5Storage(tmp_path / "s.h5") as storage:

        def look() -> None:
            while not seen or seen[-1] < 20:
                seen.append(len(storage.find()))

        thread = threading.Thread(target=look)
        with storage.batch():
            storage.store_reservoir_states(1.0, [0])
            thread.start()
            for k in range(19):
                storage.store_reservoir_states(1.0, [k])
        thread.join()
    assert set(seen) <= {0, 20}


def test_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    count, each = 3, 25

    def work(number: int) -> None:
        with HDF5Storage(path) as storage:
            for k in range(each):
                storage.store_reservoir_states(7.0, np.array([number, k]), f"p{number % 2}")

    children = [fork(lambda n=n: work(n)) for n in range(count)]
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    with HDF5Storage(path) as storage:
        found = [storage.retrieve_reservoir_states(entry.id) for entry in storage.find()]
        pairs = {tuple(states[0].tolist()) for states in found if states is not None}
        assert pairs == {(number, k) for number in range(count) for k in range(each)}
        assert storage.verify() == []
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]


def test_a_forked_child_goes_on_with_a_store_of_its_own(tmp_path: Path) -> None:
    with HDF5Storage(tmp_path / "s.h5") as storage:
        storage.store_reservoir_states(1.0, [0])

        def child() -> dict[str, Any]:
            name = storage.store_reservoir_states(1.0, [1])
            return {"name": name, "seen": len(storage.find())}

        said = ask(child)
        assert said == {"name": "default_1000_000001", "seen": 2}
        assert storage.store_reservoir_states(1.0, [2]) == "default_1000_000002"
        assert len(storage.find()) == 3
        assert storage.verify() == []


def test_readers_poll_while_a_writer_stores(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    HDF5Storage(path).close()

    def write() -> None:
        rng = np.random.default_rng(0)
        with HDF5Storage(path) as storage:
            for k in range(1_000_000):
                storage.store_network_snapshot(float(k), np.eye(9) * k, rng.random((150, 150)), np.full(7, k))

    child = fork(write)
    try:
        plain = refused = polls = seen = 0
        with HDF5Storage(path) as reader:
            while seen < 60 or polls < 12:
                assert os.waitpid(child, os.WNOHANG) == (0, 0), "the writer is dead"
                entries = reader.find("snapshot")
                assert [entry.timestamp for entry in entries] == list(range(len(entries)))
                assert len(entries) >= seen
                seen = len(entries)
                if entries:
                    found = reader.retrieve_network_snapshot(entries[-1].id)
                    assert found is not None
                    assert (found.neuron_states == seen - 1).all()
                    assert (found.adjacency_matrix == np.eye(9) * (seen - 1)).all()
                plain += 1
                try:
                    with h5py.File(path, "r", swmr=polls % 2 == 1) as file:
                        assert len(file["network_states/topology"]) >= seen
                except (OSError, KeyError, RuntimeError):
                    refused += 1  # it came between two writes of one change: opening again is enough
                polls += 1
        assert refused < plain
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    with HDF5Storage(path) as storage:
        assert storage.verify() == []
        assert len(storage.find()) >= seen


def test_another_program_that_writes_the_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with HDF5Storage(path, patience=0.05) as storage:
        storage.store_reservoir_states(1.0, [1])
        with h5py.File(path, "a") as file:
            with pytest.raises(StorageLockedError, match="another program"):
                storage.store_reservoir_states(2.0, [2])
            made = file["activations/reservoir_states"].create_dataset("x_1", data=[7.0])
            made.attrs["timestamp"], made.attrs["reservoir_id"] = 0.001, "x"
        assert storage.store_reservoir_states(2.0, [2]) == "default_2000"
        assert [entry.id for entry in storage.find()] == ["x_1", "default_1000", "default_2000"]
        assert storage.verify() == []


def test_one_waits_so_long_and_is_told_for_whom(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with HDF5Storage(path) as storage, HDF5Storage(path, patience=0.02) as other:
        started = time.monotonic()
        with storage.batch():
            storage.store_reservoir_states(1.0, [1])
            with pytest.raises(StorageLockedError, match=str(os.getpid())):
                other.store_reservoir_states(1.0, [2])
            assert other.find() == []
        assert time.monotonic() - started < 30
        assert len(other.find()) == 1
        other.store_reservoir_states(1.0, [2])
        assert len(storage.find()) == 2


def test_the_lock_file_may_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    with HDF5Storage(path) as storage, HDF5Storage(path) as other:
        for k in range(3):
            storage.store_reservoir_states(1.0, [k])
            (tmp_path / "s.h5.lock").unlink()
            other.store_reservoir_states(1.0, [k])
        assert len(storage.find()) == len(other.find()) == 6


def test_a_child_of_a_killed_process_keeps_nobody_waiting(tmp_path: Path) -> None:
    path, pids = tmp_path / "s.h5", tmp_path / "child"

    def killed_in_a_batch() -> None:
        storage = HDF5Storage(path)
        with storage.batch():
            storage.store_reservoir_states(1.0, [1])
            pids.write_text(str(fork(lambda: time.sleep(60))))
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(fork(killed_in_a_batch), 0)
    try:
        with HDF5Storage(path, patience=5.0) as storage:
            assert storage.find() == []
            assert storage.store_reservoir_states(1.0, [1]) == "default_1000"
    finally:
        os.kill(int(pids.read_text()), signal.SIGKILL)
