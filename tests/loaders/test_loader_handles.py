"""The handle behind a loader: opening, closing, pickling, forking, refusing."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import synthetic
from numpy.testing import assert_array_equal

import loaders
from loaders import ClosedError, DamagedError, ExperimentLoader, ReadError, describe
from tests.test_public_names import FOR_TORCH


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "run" / "experiment_data.h5"
    found.parent.mkdir()
    with synthetic.recording(found) as file:
        synthetic.timed(synthetic.episode(file)["behavior"], range(50), x=np.arange(50))
    return found


def test_public_names() -> None:
    here = set(loaders.__all__) if find_spec("torch") else set(loaders.__all__) - FOR_TORCH
    for name in here:
        assert getattr(loaders, name).__name__ == name
    assert set(loaders.__all__) <= set(dir(loaders))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        loaders.nothing  # noqa: B018


def test_folder_file_and_other_names(path: Path) -> None:
    for form in (path, str(path), path.parent, str(path.parent)):
        with ExperimentLoader(form) as loader:
            assert loader.h5_path == path
            assert loader.experiment_dir == path.parent
            assert isinstance(loader.h5_file, h5py.File)
    path.rename(path.with_name("other.hdf5"))
    with ExperimentLoader(path.parent) as loader:
        assert loader.h5_path.name == "other.hdf5"


def test_missing(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere", tmp_path / "nowhere.h5"):
        with pytest.raises(FileNotFoundError, match="No HDF5 data files found in"):
            ExperimentLoader(place)


def test_no_hdf5_and_no_recording(tmp_path: Path) -> None:
    text = tmp_path / "text.h5"
    text.write_text("no HDF5 at all")
    with pytest.raises(ReadError, match=r"text\.h5 is no HDF5 file"):
        ExperimentLoader(text)
    (tmp_path / "empty.h5").touch()
    with pytest.raises(ReadError, match="is no HDF5 file"):
        ExperimentLoader(tmp_path / "empty.h5")
    h5py.File(tmp_path / "other.h5", "w").close()
    with pytest.raises(ReadError, match="no recording"):
        ExperimentLoader(tmp_path / "other.h5")


def test_other_format_versions(tmp_path: Path) -> None:
    synthetic.recording(tmp_path / "new.h5", format_version="2.0").close()
    with pytest.raises(ReadError, match=r"format version 2\.0"):
        ExperimentLoader(tmp_path / "new.h5")
    synthetic.recording(tmp_path / "minor.h5", format_version="1.9").close()
    ExperimentLoader(tmp_path / "minor.h5").close()
    synthetic.recording(tmp_path / "foreign.h5", format="else").close()
    with pytest.raises(ReadError, match="no recording"):
        ExperimentLoader(tmp_path / "foreign.h5")


def test_after_close(path: Path) -> None:
    with ExperimentLoader(path) as loader:
        episode = loader.get_episode(0)
        stream = episode.stream("behavior/x")
    loader.close()
    calls: list[Any] = [loader.get_config, loader.list_episodes, episode.get_behavior, stream.read]
    for call in [*calls, lambda: stream.shape, lambda: describe(loader)]:
        with pytest.raises(ClosedError, match="has been closed"):
            call()
    assert "closed" in repr(loader)
    assert "closed" in str(loader)


def test_pickled_handles_open_for_themselves(path: Path) -> None:
    with ExperimentLoader(path) as loader:
        episode = loader.get_episode(0)
        stream = episode.stream("behavior/x")
        again: list[Any] = pickle.loads(pickle.dumps([loader, episode, stream, episode.behavior]))
    assert again[0].list_episodes() == [0]
    assert_array_equal(again[1].get_behavior()["x"], np.arange(50))
    assert_array_equal(again[2].read(10, 12), [10, 11])
    assert list(again[3]) == ["x"]
    assert again[1]._loader is again[0]
    again[0].close()
    closed = pickle.loads(pickle.dumps(loader))
    with pytest.raises(ClosedError):
        closed.list_episodes()


def child(loader: ExperimentLoader, stream: Any, answers: Any) -> None:
    own = loader.h5_file
    answers.put((stream.read(10, 13).tolist(), own.id.id))
    loader.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_every_process_has_its_own_handle(path: Path, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with ExperimentLoader(path) as loader:
        stream = loader.get_episode(0).stream("behavior/x")
        stream.read()
        answers = context.Queue()
        workers = [context.Process(target=child, args=(loader, stream, answers)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for _ in workers:
            assert answers.get(timeout=60)[0] == [10, 11, 12]
        for worker in workers:
            worker.join(60)
            assert worker.exitcode == 0
        assert_array_equal(stream.read(), np.arange(50))


def test_refresh_sees_what_is_new(path: Path) -> None:
    with ExperimentLoader(path) as loader:
        episode = loader.get_episode(0)
        assert len(episode.stream("behavior/x")) == 50
        loader.refresh()
        del episode
        gc.collect()
        with h5py.File(path, "r+") as file:
            synthetic.episode(file, 1)
        assert loader.list_episodes() == [0, 1]


def test_truncated_anywhere(path: Path, tmp_path: Path) -> None:
    size = path.stat().st_size
    for keep in range(0, size, max(1, size // 40)):
        cut = tmp_path / "cut.h5"
        shutil.copy(path, cut)
        os.truncate(cut, keep)
        with pytest.raises(ReadError):
            loaders.quick_load(cut)


def test_a_flipped_bit_is_named(path: Path) -> None:
    with h5py.File(path) as file:
        info = file["episodes/episode_0000/behavior/x"].id.get_chunk_info(2)
    with path.open("r+b") as raw:
        raw.seek(info.byte_offset + info.size // 2)
        byte = raw.read(1)[0]
        raw.seek(-1, 1)
        raw.write(bytes([byte ^ 16]))
    with ExperimentLoader(path) as loader:
        stream = loader.get_episode(0).stream("behavior/x")
        assert_array_equal(stream.read(0, 14), np.arange(14))
        with pytest.raises(DamagedError, match="behavior/x"):
            stream.read()


@pytest.mark.parametrize("payload", ["short", "long", "missing"])
def test_chunks_that_do_not_fit(path: Path, payload: str) -> None:
    import zlib

    with h5py.File(path, "r+") as file:
        dataset = file["episodes/episode_0000/behavior/x"]
        if payload == "missing":
            for name in ("x", "timesteps"):
                file["episodes/episode_0000/behavior"][name].resize(80, axis=0)
        else:
            size = 7 * 8 + (-8 if payload == "short" else 8)
            dataset.id.write_direct_chunk((7,), zlib.compress(bytes(size)))
    with ExperimentLoader(path) as loader, pytest.raises(DamagedError, match=r"behavior/(x|timesteps)"):
        loader.get_episode(0).stream("behavior/x").read()


def test_claims_no_memory_could_hold(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        for name in ("x", "timesteps"):
            file["episodes/episode_0000/behavior"][name].resize(1 << 50, axis=0)
    with ExperimentLoader(path) as loader:
        with pytest.raises(DamagedError):
            loader.get_episode(0).stream("behavior/x").read()
        with pytest.raises(DamagedError, match=r"claims 9,007,\d+,\d+,\d+,\d+ bytes|cannot be read"):
            loader.get_episode(0).get_behavior()


def outside(file: h5py.File, kind: str, folder: Path) -> None:
    group = file["episodes/episode_0000/behavior"]
    secret = folder / "secret.bin"
    secret.write_bytes(bytes(400))
    del group["x"]
    if kind == "storage":
        group.create_dataset("x", (50,), "i8", external=[(str(secret), 0, 400)])
    elif kind == "virtual":
        layout = h5py.VirtualLayout((50,), "i8")
        layout[:] = h5py.VirtualSource(str(secret), "x", shape=(50,))
        group.create_virtual_dataset("x", layout)
    elif kind == "link":
        group["x"] = h5py.ExternalLink(str(secret), "/x")
    else:
        group["x"] = h5py.SoftLink("/episodes/episode_0000/behavior/timesteps")


@pytest.mark.parametrize("kind", ["storage", "virtual", "link", "soft"])
def test_nothing_outside_the_file_is_read(path: Path, tmp_path: Path, kind: str) -> None:
    with h5py.File(path, "r+") as file:
        outside(file, kind, tmp_path)
    with ExperimentLoader(path) as loader:
        with pytest.raises(DamagedError, match="behavior/x"):
            loader.get_episode(0).get_behavior()
        assert "damaged" in describe(loader)


def test_a_filter_that_is_not_installed(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        group = file["episodes/episode_0000/behavior"]
        del group["x"]
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((50,))
        made.set_filter(299, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((50,), (h5py.h5s.UNLIMITED,))
        dataset = h5py.h5d.create(group.id, b"x", h5py.h5t.NATIVE_DOUBLE, space, made)
        dataset.write_direct_chunk((0,), b"packed")
    with ExperimentLoader(path) as loader:
        assert loader.get_episode(0).stream("behavior/x").shape == (50,)
        with pytest.raises(ReadError, match=r"behavior/x needs the HDF5 filter 299 .*flightrec\[filters\]"):
            loader.get_episode(0).stream("behavior/x").read()


def test_a_tree_that_contains_itself(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        point = file.create_group("checkpoints/loop")
        point["again"] = point
    with ExperimentLoader(path) as loader, pytest.raises(DamagedError, match="two places"):
        loader.get_all_checkpoints()


def test_an_episode_is_opened_by_its_name_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recorder.h5.reading import episode as module

    with h5py.File(path, "r+") as file:
        episodes = file["episodes"]
        own = next(iter(episodes))
        for name in ("episode_7", "episode_00000", "episode_x", "episode_-001"):
            episodes.copy(own, name)
        episodes["episode_00000"].attrs["status"] = "another"
    with ExperimentLoader(path) as loader:
        assert loader.list_episodes() == [0, 7]
        assert loader.get_episode(0).get_metadata().get("status") != "another"
        assert len(loader.get_episode(7).stream("behavior/x")) == 50
        for missing in (-1, 1, 10**30):
            with pytest.raises(ValueError, match="not found"):
                loader.get_episode(missing)
    listed: list[Any] = []
    real = module.names
    monkeypatch.setattr(module, "names", lambda group: (listed.append(group), real(group))[1])
    with ExperimentLoader(path) as loader:
        loader.get_episode(0)
        assert not listed
        assert loader.list_episodes() == [0, 7]
        assert listed
