"""A recording that was resumed holds what one without a break does, whatever ended it before."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, StandardDataExporter
from recorder.errors import (
    DroppedStepsWarning,
    DuplicateError,
    InputError,
    OptionError,
    ReadError,
    RecordingLockedError,
)
from recorder.h5.verify import verify
from recorder.writer import Writer
from tests.comparing import assert_same, contents
from tests.crash.harness import fork

KILLED = """
import os, signal, sys
import numpy as np
from recorder import DataExporter

folder, first, steps = sys.argv[1], sys.argv[2] == "first", int(sys.argv[3])
if first:
    exporter = DataExporter("killed", output_base_dir=folder, neural_sampling_rate=1, chunk_size=100)
    print(exporter.output_dir, flush=True)
else:
    exporter = DataExporter.resume(folder)
for part in range(2):
    exporter.start_episode()
    for t in range(steps):
        spikes = np.arange(5) == t % 5
        exporter.log(timestep=t, neural_state={"v": np.full(3, t + 0.5)}, spikes=spikes, reward=t)
    if part == 0:
        exporter.end_episode()
        exporter.save_checkpoint("point", {"done": exporter.episode_count})
os.kill(os.getpid(), signal.SIGKILL)
"""


def episode(exporter: DataExporter, rng: np.random.Generator, drawn: random.Random) -> None:
    exporter.start_episode()
    for t in range(300):
        exporter.log(
            timestep=t, neural_state={"v": rng.random(4)}, spikes=rng.random(4) < 0.1, reward=drawn.random()
        )
        if t % 50 == 0:
            exporter.log(timestep=t, event_type="mark", data={"t": t})
            exporter.log(timestep=t, synapse_id=3, old_weight=0.0, new_weight=float(rng.random()))
    exporter.end_episode(success=True)


@pytest.mark.parametrize("options", [{}, {"async_write": True}, {"durability": "fsync"}])
def test_a_resumed_run_is_the_one_without_a_break(tmp_path: Path, options: dict[str, Any]) -> None:
    rng, drawn = np.random.default_rng(1), random.Random(1)
    with DataExporter("whole", tmp_path, neural_sampling_rate=3, **options) as whole:
        for _ in range(4):
            episode(whole, rng, drawn)
    rng, drawn = np.random.default_rng(1), random.Random(1)
    with DataExporter("broken", tmp_path, neural_sampling_rate=3, **options) as broken:
        for _ in range(2):
            episode(broken, rng, drawn)
        broken.save_checkpoint("half", {"w": np.arange(3)}, generators={"rng": rng, "drawn": drawn})
    for _ in range(2):
        rng, drawn = np.random.default_rng(9), random.Random(9)
        with DataExporter.resume(
            broken.output_dir, generators={"rng": rng, "drawn": drawn}, **options
        ) as again:
            point = again.checkpoint
            assert point is not None
            assert (point.state["w"].tolist(), point.generators["rng"]) == ([0, 1, 2], rng)
            assert point.episode_count == again.episode_count
            episode(again, rng, drawn)
            again.save_checkpoint("later", {"w": np.arange(3)}, generators={"rng": rng, "drawn": drawn})
    assert_same(contents(broken.output_dir), contents(whole.output_dir))
    assert list(verify(broken.h5_path)) == []
    with ExperimentLoader(broken.output_dir) as loader:
        facts = loader.attributes
        assert (facts["status"], facts["episode_count"], facts["neural_sampling_rate"]) == ("completed", 4, 3)
        assert "resumed" not in loader.get_metadata()
        assert "resumed" in str(loader)
        made = loader.get_resumptions()
        assert [(e["status"], e["episode_count"]) for e in made] == [("completed", 2), ("completed", 3)]
        assert made[0]["checkpoint"].startswith("half_")


def test_killed_and_resumed_again_and_again(tmp_path: Path) -> None:
    folder, steps = "", [120, 333, 1, 250]
    for run, count in enumerate(steps):
        arguments = [folder or str(tmp_path), "again" if run else "first", str(count)]
        done = subprocess.run(
            [sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        folder = folder or done.stdout.strip()
    with DataExporter.resume(folder) as last:
        assert last.checkpoint is not None
        assert last.checkpoint.state["done"] == 7
        assert last.start_episode().episode_id == 8
    with ExperimentLoader(folder) as loader:
        assert loader.list_episodes() == list(range(9))
        for run, count in enumerate(steps):
            for part, status in enumerate(("completed", "recovered")):
                data = loader.get_episode(2 * run + part)
                assert data.get_metadata()["status"] == status
                assert data.stream("neural_states/v")[:].tolist() == [[t + 0.5] * 3 for t in range(count)]
                wanted = np.arange(5) == np.arange(count)[:, None] % 5
                np.testing.assert_array_equal(data.get_spike_raster(), wanted)
        ended = [loader.get_episode(2 * run + 1).get_metadata() for run in range(len(steps))]
        recovered = sum(facts.get("recovered_timesteps", 0) for facts in ended)
        assert loader.attributes["recovered_timesteps"] == recovered > 0
        assert [entry["status"] for entry in loader.get_resumptions()] == ["recovered"] * 4
    assert list(verify(Path(folder) / "experiment_data.h5")) == []


def test_what_is_saved_once_stays_saved_and_metadata_add_up(tmp_path: Path) -> None:
    with DataExporter("once", tmp_path, compression="gzip", compression_level=2, chunk_size=77) as first:
        first.save_metadata({"a": 1, "b": 1})
        first.save_network_structure({"neuron_ids": np.arange(6)}, {"source_ids": [0], "target_ids": [1]})
        first.start_episode(5)
    with DataExporter.resume(first.h5_path, neural_sampling_rate={"v": 4}, n_neurons=None) as again:
        options = again.options
        assert (options.compression_level, options.chunk_size, options.experiment_name) == (2, 77, "once")
        assert options.neural_sampling_rate == {"v": 4}
        assert again.timestamp == first.timestamp
        assert again.checkpoint is None
        again.save_metadata({"b": 2})
        with pytest.raises(DuplicateError):
            again.save_network_structure({}, {})
        with pytest.raises(DuplicateError):
            again.start_episode(5)
        again.start_episode()
        again.log(timestep=0, spikes=[0, 5], reward=1.0) if options.spike_format == "indices" else None
    with ExperimentLoader(first.h5_path) as loader:
        assert loader.get_metadata()["a"] == 1
        assert loader.get_metadata()["b"] == 2
        assert loader.list_episodes() == [1, 5]


def test_what_cannot_be_resumed_is_left_alone(tmp_path: Path) -> None:
    with DataExporter("left", tmp_path) as exporter:
        with pytest.raises(RecordingLockedError):
            DataExporter.resume(exporter.output_dir)
        exporter.save_checkpoint("a", {"x": 1}, generators={"rng": np.random.default_rng(0)})
    before = exporter.h5_path.read_bytes()
    here = sorted(path.name for path in exporter.output_dir.iterdir())
    wrong: list[tuple[type[Exception], dict[str, Any]]] = [
        (OptionError, {"compression": None}),
        (OptionError, {"experiment_name": "x"}),
        (OptionError, {"no_such": 1}),
        (OptionError, {"ring_bytes": 3}),
        (InputError, {"generators": {"other": np.random.default_rng(0)}}),
        (InputError, {"generators": {"rng": random.Random()}}),
        (InputError, {"generators": np.random.default_rng(0)}),
        (InputError, {"generators": []}),
    ]
    for error, arguments in wrong:
        with pytest.raises(error):
            DataExporter.resume(exporter.output_dir, **arguments)
    for point in (False, True):  # states that are asked for and are not there
        with DataExporter("bare", tmp_path) as bare:
            if point:
                bare.save_checkpoint("a", {"x": 1})
        with pytest.raises(ReadError, match="without states" if point else "has no checkpoint"):
            DataExporter.resume(bare.output_dir, generators={"rng": np.random.default_rng(0)})
    with StandardDataExporter("plain", tmp_path) as plain:
        pass
    with pytest.raises(ReadError, match="written by standard"):
        DataExporter.resume(plain.output_dir)
    with pytest.raises(FileNotFoundError):
        DataExporter.resume(tmp_path)
    with DataExporter("lost", tmp_path) as alive:
        alive.start_episode()
        shutil.copy(alive.h5_path, tmp_path / "lost.h5")
    with pytest.raises(ReadError, match="its ring is lost"):
        DataExporter.resume(tmp_path / "lost.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(ReadError):
        DataExporter.resume(tmp_path / "text.h5")
    assert exporter.h5_path.read_bytes() == before
    assert sorted(path.name for path in exporter.output_dir.iterdir()) == here
    assert not (tmp_path / "text.h5.lock").exists()


@pytest.mark.parametrize("how", ["error", "kill"])
def test_what_ends_the_resuming_leaves_the_recording_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with DataExporter("early", tmp_path) as exporter:
        exporter.start_episode()
        exporter.log(timestep=0, reward=1.0)
    before = exporter.h5_path.read_bytes()

    def end(*_: Any) -> None:
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError("no room")

    monkeypatch.setattr(Writer, "change", end)
    if how == "kill":
        assert os.waitpid(fork(lambda: DataExporter.resume(exporter.output_dir)), 0)[1] == signal.SIGKILL
    else:
        with pytest.raises(OSError, match="no room"):
            DataExporter.resume(exporter.output_dir)
        assert exporter.h5_path.read_bytes() == before
    monkeypatch.undo()
    with DataExporter.resume(exporter.output_dir) as again:
        again.start_episode()
    with ExperimentLoader(exporter.output_dir) as loader:
        assert loader.list_episodes() == [0, 1]
        assert [entry["status"] for entry in loader.get_resumptions()] == ["completed"]


def stall(exporter: DataExporter) -> None:
    for t in range(4000):
        exporter.log(timestep=t, behavior={"x": np.zeros(64)})


def test_dropped_steps_add_up_over_both(tmp_path: Path) -> None:
    options: dict[str, Any] = {"on_full": "drop", "ring_bytes": 1 << 20, "async_write": True}
    folder, before = tmp_path, 0
    for run in range(2):
        again = DataExporter.resume(folder, **options) if run else DataExporter("drop", tmp_path, **options)
        folder = again.output_dir
        with again:
            again.start_episode()
            with again._writer.busy, pytest.warns(DroppedStepsWarning):  # the disk stalls
                stall(again)
            again.end_episode()
        with ExperimentLoader(folder) as loader:
            episodes = [loader.get_episode(number).get_metadata() for number in loader.list_episodes()]
            lost = sum(facts["dropped_timesteps"] for facts in episodes)
            assert loader.attributes["dropped_timesteps"] == lost > before
            before = lost
