"""What only the fast exporter does: its lock, its ring, its thread, and the ways a recording ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import (
    ClosedError,
    DataExporter,
    DroppedStepsWarning,
    NoEpisodeError,
    OptionError,
    RecordingLockedError,
    RingFullError,
    RowTooLargeError,
    WriteError,
)
from recorder.h5.repair import repair
from recorder.h5.sink import Sink

pytestmark = pytest.mark.usefixtures("each_hot_path")


@pytest.fixture(params=["caller", "thread"])
def exporter(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    threaded = request.param == "thread"
    made = DataExporter("run", tmp_path, ring_bytes=1 << 20, validate_data=False, async_write=threaded)
    yield made
    made.close()


def steps_of(path: Path, episode: int = 0) -> list[float]:
    with ExperimentLoader(path) as loader:
        return loader.get_episode(episode).get_behavior()["x"].tolist()


def test_a_clean_close_leaves_only_the_recording(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path) as exporter:
        names = {p.name for p in exporter.output_dir.iterdir()}
        assert {"experiment_data.h5", "experiment_data.h5.ring", "experiment_data.h5.lock"} <= names
    left = {p.name for p in exporter.output_dir.iterdir()}
    assert left == {"experiment_data.h5", "runtime_info.json"}


def test_the_file_opens_plainly_at_every_stage(exporter: DataExporter) -> None:
    def opens() -> list[str]:
        code = (
            "import h5py, sys\n"
            "f = h5py.File(sys.argv[1], 'r', **eval(sys.argv[2]))\n"
            "print(','.join(f['episodes']))\n"
        )
        out = []
        for options in ("{}", "{'swmr': True}"):
            run = subprocess.run(
                [sys.executable, "-c", code, str(exporter.h5_path), options],
                check=True,
                capture_output=True,
                text=True,
            )
            out.append(run.stdout.strip())
        return out

    assert opens() == ["", ""]
    exporter.start_episode()
    exporter.save_config({"a": 1})
    assert opens() == ["episode_0000"] * 2
    exporter.log_batch(np.arange(50_000), neural_state={"v": np.random.default_rng(0).random((50_000, 50))})
    exporter._writer.drain()
    assert opens() == ["episode_0000"] * 2
    exporter.end_episode()
    exporter.start_episode()
    exporter.save_metadata({"b": 1})
    assert opens() == ["episode_0000,episode_0001"] * 2


def test_a_second_writer_is_refused_by_name(exporter: DataExporter) -> None:
    with pytest.raises(RecordingLockedError, match=f"process {os.getpid()} on "):
        repair(exporter.h5_path)
    code = "import sys; from recorder.h5.repair import repair; repair(sys.argv[1])"
    other = subprocess.run(
        [sys.executable, "-c", code, str(exporter.h5_path)], check=False, capture_output=True, text=True
    )
    assert f"is being written by process {os.getpid()}" in other.stderr
    exporter.start_episode()
    exporter.log(0, behavior={"x": 1.0})


def test_it_can_be_read_while_it_is_written(exporter: DataExporter) -> None:
    exporter.start_episode()
    for t in range(20_000):
        exporter.log(t, behavior={"x": float(t)})
    exporter.save_checkpoint("now", {"w": np.ones(3)})
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.status == "running"
        found = loader.get_episode(0).get_behavior()["x"]
        assert np.array_equal(found, np.arange(len(found)))
        assert len(found) >= 10_000
    assert exporter.h5_file["episodes/episode_0000/behavior/x"].shape[0] >= 10_000
    assert exporter.current_episode.group.name == "/episodes/episode_0000"
    exporter.end_episode()


def test_a_held_log_function_goes_on_in_the_next_episode(exporter: DataExporter) -> None:
    exporter.start_episode()
    exporter.log(0, behavior={"x": 0.0})
    log = exporter.log
    for t in range(1, 40_000):
        log(timestep=t, behavior={"x": float(t)})
    exporter.end_episode()
    with pytest.raises(NoEpisodeError):
        log(timestep=0, behavior={"x": 0.0})
    exporter.start_episode()
    log(timestep=0, behavior={"x": 5.0})
    exporter.end_episode()
    exporter.close()
    with pytest.raises(ClosedError):
        log(timestep=0, behavior={"x": 0.0})
    assert steps_of(exporter.h5_path) == list(range(40_000))
    assert steps_of(exporter.h5_path, 1) == [5.0]


def test_a_subclass_may_have_its_own_log(tmp_path: Path) -> None:
    class Twice(DataExporter):
        calls = 0

        def log(self, *arguments: Any, **keywords: Any) -> None:
            self.calls += 1
            super().log(*arguments, **keywords)

    with Twice("run", tmp_path) as exporter:
        exporter.start_episode()
        for t in range(100):
            exporter.log(t, behavior={"x": float(t)})
    assert exporter.calls == 100
    assert steps_of(exporter.h5_path) == list(range(100))


@pytest.mark.parametrize("neurons", [1, 100_000])
def test_rows_of_one_and_of_a_hundred_thousand_neurons(tmp_path: Path, neurons: int) -> None:
    rng = np.random.default_rng(0)
    v = rng.random((12, neurons))
    spikes = rng.random((12, neurons)) < 0.01
    with DataExporter("run", tmp_path, neural_sampling_rate=1) as exporter:
        exporter.start_episode()
        for t in range(12):
            exporter.log(t, neural_state={"v": v[t]}, spikes=spikes[t])
    with ExperimentLoader(exporter.h5_path) as loader:
        episode = loader.get_episode(0)
        assert np.array_equal(episode.get_neural_states()["v"], v)
        assert np.array_equal(episode.get_spike_raster(), spikes)


def test_what_fits_no_block_is_refused_and_the_rest_goes_on(exporter: DataExporter) -> None:
    exporter.start_episode()
    exporter.log(0, behavior={"x": 0.0})
    with pytest.raises(RowTooLargeError, match="ring_bytes="):
        exporter.log(1, behavior={"x": 1.0}, neural_state={"v": np.zeros(1 << 20)})
    with pytest.raises(RowTooLargeError, match="save_checkpoint"):
        exporter.log(1, event_type="e", data={"text": "x" * (1 << 20)})
    exporter.log(1, behavior={"x": 1.0})
    exporter.log(2, behavior={"x": 2.0}, event_type="e", data={"text": "x" * 50_000})
    exporter.end_episode(summary={"text": "y" * 500_000})
    exporter.close()
    assert steps_of(exporter.h5_path) == [0.0, 1.0, 2.0]
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.get_episode_summary(0)["text"] == "y" * 500_000


@pytest.mark.parametrize("ended", [True, False])
def test_what_failed_once_is_neither_forgotten_nor_stored_twice(tmp_path: Path, ended: bool) -> None:
    exporter = DataExporter("run", tmp_path, ring_bytes=1 << 20, chunk_size=100)
    exporter.start_episode()
    steps = 0 if ended else 30_000
    for t in range(steps):
        exporter.log(t, behavior={"x": float(t)})
    exporter.flush()
    for t in range(steps, steps + 1000):
        exporter.log(t, behavior={"x": float(t)})
    if ended:
        exporter.end_episode()
    name = "_restructure" if ended else "_stream"
    real = getattr(Sink, name)

    def fail_once(sink: Sink, *arguments: Any) -> None:
        setattr(Sink, name, real)
        if not ended:
            real(sink, *arguments)
        raise OSError(28, "No space left on device")

    with mock.patch.object(Sink, name, fail_once), pytest.raises(WriteError, match="flightrec repair"):
        exporter.flush()
    for again in (exporter.flush, lambda: exporter.h5_file, exporter.flush, exporter.close):
        with pytest.raises(WriteError):
            again()
    assert repair(exporter.h5_path).status == "recovered"
    assert steps_of(exporter.h5_path, 0) == [float(t) for t in range(steps + 1000)]


class Gate:
    """Holds the writer until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import threading

        self.open = threading.Event()
        real = Sink.begin

        def waiting(sink: Sink, records: Any) -> None:
            self.open.wait(60)
            real(sink, records)

        monkeypatch.setattr(Sink, "begin", waiting)


def test_a_full_ring_drops_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    exporter = DataExporter(
        "run", tmp_path, ring_bytes=1 << 20, on_full="drop", async_write=True, neural_sampling_rate=1
    )
    exporter.start_episode()
    with pytest.warns(DroppedStepsWarning):  # noqa: PT031
        for t in range(5000):
            exporter.log(t, neural_state={"v": np.full(100, float(t))})
    gate.open.set()
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        metadata = loader.get_episode(0).get_metadata()
        kept = loader.get_episode(0).get_neural_states()
    assert metadata["dropped_timesteps"] > 0
    assert metadata["total_timesteps"] + metadata["dropped_timesteps"] == 5000
    assert np.array_equal(kept["v"][:, 0], kept["timesteps"])


def test_a_full_ring_raises_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    exporter = DataExporter(
        "run", tmp_path, ring_bytes=1 << 20, on_full="raise", async_write=True, neural_sampling_rate=1
    )
    exporter.start_episode()
    logged = 0
    with pytest.raises(RingFullError, match="on_full='wait'"):
        for t in range(5000):
            exporter.log(t, neural_state={"v": np.full(100, float(t))})
            logged = t + 1
    gate.open.set()
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.get_episode(0).get_metadata()["total_timesteps"] == logged


def test_a_full_ring_waits_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    gate = Gate(monkeypatch)
    exporter = DataExporter("run", tmp_path, ring_bytes=1 << 20, async_write=True, neural_sampling_rate=1)
    exporter.start_episode()
    threading.Timer(0.2, gate.open.set).start()
    for t in range(5000):
        exporter.log(t, neural_state={"v": np.full(100, float(t))})
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        assert np.array_equal(loader.get_episode(0).get_neural_states()["v"][:, 0], np.arange(5000))


@pytest.mark.parametrize("threaded", [True, False])
def test_an_error_of_the_writer_reaches_the_next_call_once(tmp_path: Path, threaded: bool) -> None:
    exporter = DataExporter("run", tmp_path, ring_bytes=1 << 20, async_write=threaded)
    exporter.start_episode()
    exporter.log(0, behavior={"x": 0.0})
    failing = mock.patch.object(Sink, "end", side_effect=OSError(28, "No space left on device"))
    with failing, pytest.raises(WriteError, match="flightrec repair") as caught:
        for t in range(1, 1_000_000):
            exporter.log(t, behavior={"x": float(t)})
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.errno == 28
    with pytest.raises(WriteError):
        exporter.log(0, behavior={"x": 0.0})
    with pytest.raises(WriteError):
        exporter.close()
    exporter.close()
    # What the writer could not store waits in the ring.
    assert repair(exporter.h5_path).status == "recovered"
    found = steps_of(exporter.h5_path)
    assert found == list(range(len(found)))
    assert len(found) >= t - 1


FORKING = """
import multiprocessing, os, sys
from recorder import ClosedError, DataExporter

def child(log, exporter):
    refused = 0
    for attempt in (log, exporter.log):
        try:
            attempt(timestep=7, behavior={"x": -1.0})
        except ClosedError:
            refused += 1
    exporter.close()
    sys.exit(0 if refused == 2 else 1)

exporter = DataExporter("run", sys.argv[1], ring_bytes=1 << 20, async_write=sys.argv[3] == "thread")
exporter.start_episode()
for t in range(50_000):
    exporter.log(t, behavior={"x": float(t)})
exporter.save_metadata({"streaming": True})
log = exporter.log
for t in range(50_000, 60_000):
    log(t, behavior={"x": float(t)})
if sys.argv[2] == "fork":
    # Leaves through the interpreter's own exit, where HDF5 closes whatever it still holds.
    pid = os.fork()
    if pid == 0:
        child(log, exporter)
    assert os.waitpid(pid, 0)[1] == 0
else:
    process = multiprocessing.get_context("fork").Process(target=child, args=(log, exporter))
    process.start()
    process.join()
    assert process.exitcode == 0, process.exitcode
for t in range(60_000, 70_000):
    exporter.log(t, behavior={"x": float(t)})
exporter.close()
print(exporter.h5_path)
"""


@pytest.mark.parametrize("how", ["fork", "multiprocessing"])
@pytest.mark.parametrize("writer", ["caller", "thread"])
def test_a_forked_child_leaves_its_parents_recording_alone(tmp_path: Path, how: str, writer: str) -> None:
    command = [sys.executable, "-c", FORKING, str(tmp_path), how, writer]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert steps_of(Path(run.stdout.strip())) == list(range(70_000))


def test_interpreter_exit_ends_what_was_never_closed(tmp_path: Path) -> None:
    code = (
        "import sys; from recorder import DataExporter\n"
        "e = DataExporter('run', sys.argv[1]); e.start_episode()\n"
        "for t in range(1000): e.log(t, behavior={'x': float(t)})\n"
        "print(e.h5_path)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert run.stderr == ""
    path = Path(run.stdout.strip())
    assert not path.with_name(path.name + ".ring").exists()
    with ExperimentLoader(path) as loader:
        assert loader.status == "interrupted"
        assert loader.get_episode(0).status == "interrupted"
    assert steps_of(path) == list(range(1000))


@pytest.mark.parametrize("compression", ["gzip", "lzf", None, "zstd", "szip"])
def test_every_filter_stores_the_same(tmp_path: Path, compression: str | None) -> None:
    if compression == "zstd":
        pytest.importorskip("hdf5plugin")
    try:
        exporter = DataExporter(
            "run", tmp_path, 1, compression=compression, chunk_size=100, ring_bytes=1 << 20
        )
    except OptionError as error:
        assert compression == "szip"
        pytest.skip(str(error))
    v = np.random.default_rng(0).integers(0, 9, (1234, 20)).astype("f8")
    with exporter:
        exporter.start_episode()
        for t in range(len(v)):
            exporter.log(t, neural_state={"v": v[t]}, spikes=v[t] > 7)
    with ExperimentLoader(exporter.h5_path) as loader:
        assert np.array_equal(loader.get_episode(0).get_neural_states()["v"], v)
        assert np.array_equal(loader.get_episode(0).get_spike_raster(), v > 7)
    with h5py.File(exporter.h5_path) as file:
        dataset = file["episodes/episode_0000/neural_states/v"]
        assert dataset.chunks == (100, 20)
        known = {"gzip": "gzip", "lzf": "lzf", "szip": "szip", "zstd": "unknown", None: None}
        assert dataset.compression == known[compression]


@pytest.mark.parametrize("threaded", [False, True])
def test_swmr_readers_see_steps_of_a_slow_simulation(tmp_path: Path, threaded: bool) -> None:
    with DataExporter(
        "run",
        tmp_path,
        1,
        enable_swmr=True,
        async_write=threaded,
        flush_interval=0.05,
        chunk_size=10,
        ring_bytes=1 << 20,
    ) as exporter:
        exporter.start_episode()
        for t in range(25):
            exporter.log(t, behavior={"x": float(t)})
        deadline, step, rows = time.monotonic() + 30, 25, 0
        while rows < 20 and time.monotonic() < deadline:
            exporter.log(step, behavior={"x": float(step)})
            step += 1
            with ExperimentLoader(exporter.h5_path) as loader:
                if loader.list_episodes():
                    rows = len(loader.get_episode(0).get_behavior().get("x", ()))
        assert rows >= 20


def test_thousands_of_short_episodes(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path, validate_data=False) as exporter:
        for number in range(1000):
            exporter.start_episode()
            for t in range(5):
                exporter.log(t, behavior={"x": float(number + t)}, reward=1.0)
            exporter.end_episode(success=number % 2 == 0)
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.list_episodes() == list(range(1000))
        assert loader.get_episode_summary(999)["total_reward"] == 5.0
    assert steps_of(exporter.h5_path, 777) == [777.0 + t for t in range(5)]


def test_short_episodes_are_written_many_at_a_time(tmp_path: Path) -> None:
    with (
        DataExporter("run", tmp_path, validate_data=False) as exporter,
        mock.patch.object(Sink, "end", autospec=True, side_effect=Sink.end) as applied,
    ):
        for _ in range(200):
            exporter.start_episode()
            for t in range(10):
                exporter.log(t, behavior={"x": float(t)})
            exporter.end_episode()
        assert applied.call_count <= 10
    with ExperimentLoader(exporter.h5_path) as loader:
        assert len(loader.list_episodes()) == 200


def test_the_progress_line_counts_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DataExporter("my run", tmp_path, progress=True) as exporter:
        exporter.start_episode()
        for t in range(2000):
            exporter.log(t, behavior={"x": float(t)})
    shown = capsys.readouterr()
    assert "my run: 2.00k steps" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("threaded", [False, True])
def test_several_recordings_in_one_process(tmp_path: Path, threaded: bool) -> None:
    made = [
        DataExporter(f"run{n}", tmp_path, ring_bytes=1 << 20, async_write=threaded, validate_data=False)
        for n in range(3)
    ]
    for round_ in range(3):
        for exporter in made:
            exporter.start_episode()
        for t in range(3000):
            for number, exporter in enumerate(made):
                exporter.log(t, behavior={"x": float(t + number)}, neural_state={"v": np.full(5, t)})
            if t % 500 == 0:
                made[t // 500 % 3].flush()
        for exporter in made[round_:] + made[:round_]:
            exporter.end_episode()
    for exporter in made:
        exporter.close()
    for number, exporter in enumerate(made):
        for episode in range(3):
            assert steps_of(exporter.h5_path, episode) == [float(t + number) for t in range(3000)]


def test_many_streams_that_come_and_go_find_room_in_a_small_ring(tmp_path: Path) -> None:
    side: dict[str, Any] = {"synapse_id": 1, "old_weight": 0.0, "new_weight": 1.0, "event_type": "a"}
    with DataExporter("run", tmp_path, ring_bytes=1 << 20, validate_data=False) as exporter:
        exporter.start_episode()
        for step in range(600):
            given = {f"k{n}": np.full(64, float(step)) for n in range(40) if (step + n) % 3}
            exporter.log(step, behavior=given, **side, data={"text": "x" * 100})
    with ExperimentLoader(exporter.output_dir) as loader:
        episode = loader.get_episode(0)
        behavior = episode.get_behavior()
        for n in range(40):
            wanted = [step for step in range(600) if (step + n) % 3]
            assert behavior[f"k{n}"][:, -1].tolist() == wanted
        assert len(episode.get_events()["a"]["timesteps"]) == 600
