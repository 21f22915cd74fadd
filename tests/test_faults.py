"""Faults that were found once: each stays found."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import (
    ConcurrentLogError,
    DataExporter,
    InputError,
    SpikeIndices,
    StreamShapeError,
    StreamTypeError,
    WriteError,
)
from recorder.h5.overlay import OverlayFile
from recorder.h5.repair import repair
from recorder.steplog import StepLog
from recorder.writer import Writer

pytestmark = pytest.mark.usefixtures("each_hot_path")


@pytest.fixture(params=["caller", "thread"])
def exporter(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    made = DataExporter("run", tmp_path, ring_bytes=1 << 20, async_write=request.param == "thread")
    made.start_episode()
    yield made
    made.close()


def behavior(path: Path, episode: int = 0) -> dict[str, Any]:
    with ExperimentLoader(path) as loader:
        return dict(loader.get_episode(episode).get_behavior())


def test_index_lists_may_begin_late_and_go_missing(exporter: DataExporter) -> None:
    exporter.log(0, behavior={"x": 0.0})
    exporter.log(1, spikes=SpikeIndices([1, 3], 6))
    exporter.log(2, behavior={"x": 2.0})
    exporter.log(3, spikes=SpikeIndices([5], 6))
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        found = loader.get_episode(0).get_spikes()
    assert found["neuron_ids"].tolist() == [1, 3, 5]
    assert found["timesteps"].tolist() == [1, 1, 3]


@pytest.mark.parametrize("call", ["append", "change", "seal"])
def test_an_interrupt_in_the_end_of_an_episode_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(Writer, call)
    armed = [False]

    def interrupted(*arguments: Any, **keywords: Any) -> Any:
        if armed[0]:
            armed[0] = False
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    monkeypatch.setattr(Writer, call, interrupted)
    exporter = DataExporter("run", tmp_path)
    with pytest.raises(KeyboardInterrupt), exporter:
        exporter.start_episode()
        for t in range(5000):
            exporter.log(t, behavior={"x": float(t)})
        armed[0] = True
        exporter.current_episode.end(final_state={"w": np.ones(3)})
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.status == "interrupted"
        assert loader.get_episode(0).status == "interrupted"
    assert behavior(exporter.h5_path)["x"].tolist() == list(range(5000))


INTERRUPTED = """
import signal, sys
import numpy as np
from recorder import DataExporter

def handler(*_):
    raise KeyboardInterrupt

exporter = DataExporter("run", sys.argv[1], ring_bytes=1 << 20, async_write=sys.argv[2] == "thread")
exporter.start_episode()
exporter.log(0, behavior={"x": 0.0})
signal.signal(signal.SIGALRM, handler)
told, step = [], 1
while step < 100_000:
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.003)
        while step < 100_000:
            exporter.log(step, behavior={"x": float(step)})
            told.append(step)
            step += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        step += 1
exporter.close()
np.save(sys.argv[1] + "/told.npy", told)
"""


@pytest.mark.parametrize("writer", ["caller", "thread"])
def test_interrupts_while_logging_lose_and_double_nothing(tmp_path: Path, writer: str) -> None:
    # In a process of its own: an interrupt may land in a destructor, which test runners report as an error.
    subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path), writer], check=True, stderr=subprocess.DEVNULL
    )
    (path,) = tmp_path.glob("run_*/experiment_data.h5")
    found = behavior(path)
    assert len(np.unique(found["timesteps"])) == len(found["timesteps"])
    assert np.array_equal(found["x"], found["timesteps"])
    assert not set(np.load(tmp_path / "told.npy").tolist()) - set(found["timesteps"].tolist())


def test_a_call_from_a_signal_handler_is_stored_or_refused(exporter: DataExporter) -> None:
    told: list[int] = []
    exporter.log(0, behavior={"x": 0.0})

    def handler(*_: Any) -> None:
        try:
            exporter.log(-len(told) - 1, behavior={"x": -1.0})
            told.append(1)
        except ConcurrentLogError:
            pass

    old = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for t in range(1, 30_000):
            exporter.log(t, behavior={"x": float(t)})
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    exporter.close()
    found = behavior(exporter.h5_path)
    own = found["timesteps"] >= 0
    assert found["x"][own].tolist() == list(range(30_000))
    assert found["timesteps"][own].tolist() == list(range(30_000))
    assert (~own).sum() == len(told)


def test_calls_from_two_threads_are_stored_or_refused(exporter: DataExporter) -> None:
    stored: dict[int, int] = {}

    def work(offset: int) -> None:
        count = 0
        for t in range(20_000):
            try:
                exporter.log(offset + t, behavior={"x": float(offset + t)})
                count += 1
            except ConcurrentLogError:
                pass
        stored[offset] = count

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 1_000_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exporter.close()
    found = behavior(exporter.h5_path)
    assert np.array_equal(found["x"], found["timesteps"])
    assert len(np.unique(found["timesteps"])) == len(found["timesteps"]) == sum(stored.values())


def test_a_warning_that_is_an_error_leaves_the_episode_as_it_was(exporter: DataExporter) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            exporter.log(-1, behavior={"x": 0.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exporter.log(0, behavior={"y": 1.0})
        exporter.log(1, behavior={"y": 2.0})
    exporter.close()
    assert behavior(exporter.h5_path)["y"].tolist() == [1.0, 2.0]


def test_both_integers_of_64_bits_are_one(exporter: DataExporter) -> None:
    exporter.log(0, behavior={"n": np.array([1, 2], np.longlong), "m": 1})
    exporter.log(1, behavior={"n": np.array([3, 4], np.int64), "m": np.longlong(2)})
    exporter.log(2, behavior={"n": np.array([5, 6], np.longlong), "m": np.int64(3)})
    exporter.close()
    found = behavior(exporter.h5_path)
    assert found["n"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert found["m"].tolist() == [1, 2, 3]


def test_what_hdf5_cannot_hold_is_refused_before_the_writer_meets_it(exporter: DataExporter) -> None:
    with pytest.raises(StreamShapeError):
        exporter.log_batch(np.arange(3), spikes=np.zeros((3, 0)))
    with pytest.raises(StreamShapeError, match="31 dimensions"):
        exporter.log(0, behavior={"x": np.zeros((1,) * 32)})
    with pytest.raises(InputError):
        exporter.log(0, behavior={"1": 2.0, 1: 3.0})
    exporter.log(0, behavior={"x": 1.0})
    with pytest.raises(InputError):
        exporter.log(1, behavior={"x": 2.0, 1: 3.0})


def test_batches_reach_the_last_timestep_there_is(exporter: DataExporter) -> None:
    exporter.log_batch(np.array([2**63 - 300, 2**63 - 2]), neural_state={"v": np.arange(2.0)})
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.get_episode(0).get_neural_states()["v"].tolist() == [0.0, 1.0]


def test_a_batch_of_index_rows_is_refused(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path, spike_format="indices", n_neurons=10) as exporter:
        exporter.start_episode()
        with pytest.raises(StreamTypeError, match="step by step"):
            exporter.log_batch([0, 1], spikes=[[1, 2, 3], [4, 5, 6]])


def test_the_disk_fills_up_within_a_structural_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = DataExporter("run", tmp_path, ring_bytes=1 << 20)
    exporter.start_episode()
    for t in range(3000):
        exporter.log(t, behavior={"x": float(t)})
    full = [False]
    real = OverlayFile.__init__

    def init(self: OverlayFile, *arguments: Any, **keywords: Any) -> None:
        real(self, *arguments, **keywords)
        if full[0]:
            self.error = OSError(28, "No space left on device")

    monkeypatch.setattr(OverlayFile, "__init__", init)
    full[0] = True
    with pytest.raises(WriteError, match="No space left"):
        exporter.save_checkpoint("c", {"w": np.random.default_rng(0).random(100_000)})
    with pytest.raises(WriteError):
        exporter.close()
    full[0] = False
    assert repair(exporter.h5_path).status == "recovered"
    assert behavior(exporter.h5_path)["x"].tolist() == list(range(3000))


def test_repair_gives_each_episode_its_own_dropped_steps(tmp_path: Path) -> None:
    code = (
        "import os, sys; from recorder import DataExporter\n"
        "e = DataExporter('run', sys.argv[1], ring_bytes=1 << 20)\n"
        "for k in range(2):\n"
        "    e.start_episode(); e.log(0, behavior={'x': 1.0})\n"
        "    if k == 0: e._steps.drops.batch([], 5, 0); e.end_episode()\n"
        "print(e.h5_path, flush=True); os._exit(9)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True
    )
    with ExperimentLoader(run.stdout.strip()) as loader:
        dropped = [loader.get_episode(k).get_metadata()["dropped_timesteps"] for k in (0, 1)]
    assert dropped == [5, 0]


def test_a_constructor_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recorder.ring.arena._allocate", refuse)
    with pytest.raises(OSError, match="No space"):
        DataExporter("run", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_closing_in_another_thread_releases_the_lock(tmp_path: Path) -> None:
    exporter = DataExporter("run", tmp_path)
    thread = threading.Thread(target=exporter.close)
    thread.start()
    thread.join()
    assert not exporter.h5_path.with_name(exporter.h5_path.name + ".lock").exists()


def test_documents_named_as_our_attributes_survive(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path, validate_data=False) as exporter:
        exporter.save_checkpoint("c", {"timestamp": None, "episode_count": (1, 2), "x": 1})
        exporter.save_network_structure(
            {"neuron_ids": [0]}, {"source_ids": [0], "target_ids": [0]}, {"format": None, "w": np.ones(2)}
        )
    with ExperimentLoader(exporter.h5_path) as loader:
        (checkpoint,) = loader.get_all_checkpoints().values()
        weights = loader.get_initial_weights()
    assert checkpoint == {"timestamp": None, "episode_count": (1, 2), "x": 1}
    assert weights["format"] is None
    assert weights["w"].tolist() == [1.0, 1.0]


def test_a_full_side_table_is_no_concurrent_call(exporter: DataExporter) -> None:
    exporter.log(0, neural_state={"w": 0.0}, behavior={"x": 0.0})
    for t in range(1, 3000):
        exporter.log(t)
    for t in range(3000, 6000):
        exporter.log(t, neural_state={"w": float(t)}, event_type="e", data={})
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        assert len(list(loader.get_episode(0).iter_events())) == 3000


@pytest.mark.usefixtures("each_hot_path")
@pytest.mark.parametrize("interrupted", [1, 2, 3])
def test_a_batch_that_is_interrupted_leaves_its_steps_whole(tmp_path: Path, interrupted: int) -> None:
    rates, steps = {"v": 7, "w": 5}, np.arange(20_000)
    exporter = DataExporter("run", tmp_path, rates, ring_bytes=1 << 20)
    exporter.start_episode()
    real, calls = StepLog.move, []

    def move(log: StepLog, position: Any) -> None:
        calls.append(1)
        if len(calls) == 2 * interrupted:
            raise KeyboardInterrupt
        real(log, position)

    def batch(first: int) -> None:
        times = steps + first
        values = {"v": times.astype(float), "w": np.stack([times, times], 1).astype(float)}
        exporter.log_batch(times, neural_state=values, behavior={"x": times.astype(float)})

    with mock.patch.object(StepLog, "move", move), pytest.raises(KeyboardInterrupt):
        for first in (0, 20_000, 40_000):
            batch(first)
    batch(60_000)
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        episode = loader.get_episode(0)
        for key in rates:
            stream = episode.stream(f"neural_states/{key}")
            values = stream.read()
            assert np.array_equal(values.reshape(len(values), -1)[:, 0], stream.timesteps)
        behavior = episode.get_behavior()
        assert np.array_equal(behavior["x"], behavior["timesteps"])
