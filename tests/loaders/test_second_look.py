"""Recordings with everything in them: packed, compared, resumed and listed, whatever comes between."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse

from loaders import ExperimentCollection, ExperimentLoader, assembling
from loaders.comparing.recordings import differences
from recorder import DataExporter
from recorder.errors import DamagedError, InputError, ReadError
from recorder.h5.lock import RecordingLock
from recorder.h5.verify import verify
from recorder.storage import HDF5Storage, HDF5StorageError


def record(folder: Path, name: str = "run", *, width: int = 4, **summary: Any) -> Path:
    with DataExporter(name, folder, neural_sampling_rate=1) as exporter:
        exporter.start_episode()
        for t in range(50):
            exporter.log(
                timestep=t, neural_state={"v": np.arange(4.0)}, spikes=np.arange(width) == 1, reward=1.0
            )
        exporter.log(timestep=50, event_type="e", data={"c": complex("nan"), "t": np.datetime64("NaT")})
        exporter.log_static_episode_data(
            "world", {"m": scipy.sparse.eye_array(5).tocsr(), "c": np.array([complex("nan"), 1j])}
        )
        exporter.end_episode(summary=summary)
        for k in range(3):
            exporter.save_checkpoint("c", {"k": k, "m": scipy.sparse.eye_array(5).tocsc()}, generators={})
        return Path(exporter.h5_path)


def found(a: Path, b: Path) -> list[str]:
    with ExperimentLoader(a) as one, ExperimentLoader(b) as other:
        return [str(difference) for difference in differences(one, other)]


def test_sparse_matrices_and_what_is_no_number_are_compared(tmp_path: Path) -> None:
    path = record(tmp_path)
    assert found(path, assembling.pack(path, tmp_path / "packed.h5")) == []
    assert [line for line in found(path, record(tmp_path)) if "data" in line] == []
    lines = found(path, record(tmp_path, width=6))
    assert any("n_neurons: 4 | 6" in line for line in lines)


def test_a_recording_laid_out_in_pages_is_gone_on_with(tmp_path: Path) -> None:
    path = assembling.pack(record(tmp_path), tmp_path / "pages.h5", cloud=True)
    with DataExporter.resume(path, neural_sampling_rate=1, enable_swmr=True, flush_interval=0.01) as exporter:
        exporter.start_episode()
        for t in range(30_000):
            exporter.log(timestep=t, neural_state={"v": np.full(5, t)}, reward=1.0)
    with ExperimentLoader(path) as loader:
        assert len(loader.get_episode(1).stream("neural_states/v")) == 30_000
    assert list(verify(path)) == []


def test_a_ring_that_a_kill_left_half_made_is_no_obstacle(tmp_path: Path) -> None:
    path = record(tmp_path)
    draft = path.with_name(path.name + ".ring.new")
    draft.write_bytes(b"half")
    DataExporter.resume(path).close()
    assert not draft.exists()


def test_generators_that_do_not_fit_are_refused_before_any_is_touched(tmp_path: Path) -> None:
    made = {"a": np.random.default_rng(1), "b": np.random.default_rng(2)}
    with DataExporter("run", tmp_path) as exporter:
        with pytest.raises(InputError, match="generators/odd"):
            exporter.save_checkpoint("c", {}, generators={"odd": np.random.RandomState(np.random.PCG64())})
        exporter.save_checkpoint("c", {}, generators=made)
    given = {"a": np.random.default_rng(9), "b": np.random.Generator(np.random.MT19937(9))}
    before, state = given["a"].bit_generator.state, random.getstate()
    with pytest.raises(InputError, match="bits by PCG64"):
        DataExporter.resume(exporter.h5_path, generators=given)
    assert given["a"].bit_generator.state == before
    assert random.getstate() == state


def test_what_changes_between_opening_and_lock_is_not_packed_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path)
    acquire, times = RecordingLock.acquire, [0]

    def overtaken(self: RecordingLock) -> RecordingLock:
        times[0] += 1
        if times[0] == 1:
            with DataExporter.resume(path) as other:
                other.start_episode()
                other.log(timestep=0, reward=5.0)
        return acquire(self)

    monkeypatch.setattr(RecordingLock, "acquire", overtaken)
    assembling.pack(path)
    monkeypatch.undo()
    with ExperimentLoader(path) as loader:
        assert loader.list_episodes() == [0, 1]
        assert loader.get_episode(1).get_rewards()["rewards"].tolist() == [5.0]


def test_packing_compares_all_there_is_and_keeps_the_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path)
    path.chmod(0o600)
    link = tmp_path / "link.h5"
    link.symlink_to(path)
    assembling.pack(link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(assembling.Assembly, "checkpoints", lambda *_: None)
    with pytest.raises(DamagedError, match="checkpoints"):
        assembling.pack(path)


def test_scales_are_made_anew_with_the_file(tmp_path: Path) -> None:
    path = assembling.pack(record(tmp_path), tmp_path / "scaled.h5", scales=True)
    for made in (
        assembling.pack(path, tmp_path / "again.h5"),
        assembling.pack(path, tmp_path / "twice.h5", scales=True, compression="lzf"),
        assembling.split(path, [0], tmp_path / "part.h5"),
    ):
        with h5py.File(made) as file:
            v = file["episodes/episode_0000/neural_states/v"]
            assert v.dims[0][0].name.endswith("timesteps")
            assert v.dims[1][0].name == "/axis_4"
        assert list(verify(made)) == []


def test_steps_that_a_power_cut_may_have_torn_stay_counted(tmp_path: Path) -> None:
    path = record(tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs["unverified_timesteps"] = np.int64(3)
    with ExperimentLoader(assembling.split(path, [0], tmp_path / "part.h5")) as loader:
        assert loader.attributes["unverified_timesteps"] == 3
    with ExperimentLoader(assembling.merge([path, path], tmp_path / "both.h5")) as loader:
        assert loader.attributes["unverified_timesteps"] == 6


def test_one_odd_recording_does_not_spoil_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "a", n=2**1100, f=np.float32(1.5), i=np.int64(3))
    folder = record(tmp_path / "b").parent
    folder.rename(os.fsdecode(os.fsencode(folder) + b"\xff"))
    for _ in range(2):
        runs = ExperimentCollection(tmp_path)
        assert len(runs) == 2
        assert (runs[0].get("summary.f"), runs[0].get("summary.i"), runs[0].get("summary.n")) == (
            1.5,
            3.0,
            None,
        )
        assert len(runs.sort(lambda run: 1 if "a" in run.name else "auto")) == 2
    module = __import__("loaders.collection.collection", fromlist=["facts_of"])
    real = module.facts_of
    monkeypatch.setattr(
        module, "facts_of", lambda _: {"status": "unreadable", "error": "too many open files"}
    )
    for file in tmp_path.rglob("experiment_data.h5"):
        os.utime(file)
    assert {run["status"] for run in ExperimentCollection(tmp_path)} == {"unreadable"}
    monkeypatch.setattr(module, "facts_of", real)
    assert {run["status"] for run in ExperimentCollection(tmp_path)} == {"completed"}


def test_a_file_that_shrinks_far_away_is_an_error(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("upath")
    path = record(tmp_path)
    with fsspec.open("memory://far/run.h5", "wb") as out:
        out.write(path.read_bytes())
    with ExperimentLoader("memory://far/run.h5") as loader:
        raw = loader._recording._raw  # type: ignore[attr-defined]
        real = raw._file

        class Cut:
            def seek(self, place: int) -> None:
                real.seek(place)

            def read(self, count: int) -> bytes:
                return bytes(real.read(count // 2))

            def close(self) -> None:
                real.close()

        raw._file = Cut()
        with pytest.raises(ReadError, match="has become shorter"):
            loader.get_episode(0).stream("neural_states/v")[:]


def test_what_fails_in_a_file_context_undoes_the_batch_around_it(tmp_path: Path) -> None:
    with HDF5Storage(tmp_path / "s.h5") as storage:
        with pytest.raises(HDF5StorageError), storage.batch():
            storage.store_reservoir_states(1.0, [1.0])
            with pytest.raises(HDF5StorageError), storage._file_context("a") as file:
                file.create_group("half")
                storage.store_reservoir_states("no", [1.0])  # type: ignore[arg-type]
        with storage._file_context("r") as file:
            assert "half" not in file
        assert storage.find() == []
