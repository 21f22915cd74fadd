"""Recordings by URL: the same as by path, in few requests, from every process."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loaders import ExperimentLoader, assembling
from loaders.comparing.recordings import differences
from recorder import DataExporter
from recorder.errors import ClosedError, DamagedError, ReadError
from tests.loaders.test_assembling import record

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("upath")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = record(tmp_path_factory.mktemp("remote"), "run", list(range(40)))
    return assembling.pack(made, made.parent / "cloud.h5", cloud=True)


def put(path: Path, url: str, **options: Any) -> None:
    with fsspec.open(url, "wb", **options) as out:
        out.write(path.read_bytes())


def same(path: Path, url: str, **options: Any) -> None:
    with ExperimentLoader(path) as here, ExperimentLoader(url, storage_options=options) as there:
        assert [str(d) for d in differences(here, there)] == []
        assert str(there.h5_path) == url
        assert str(there).splitlines()[1:] == str(here).splitlines()[1:]
        assert len(there.episodes) == 40


def test_a_file_in_memory_is_the_recording(path: Path) -> None:
    put(path, "memory://bucket/run/experiment_data.h5")
    same(path, "memory://bucket/run/experiment_data.h5")
    with ExperimentLoader("memory://bucket/run") as loader:
        assert loader.list_episodes() == list(range(40))
        episodes = loader.episodes
    assert episodes[39].summary == {"score": 39.0}
    with pytest.raises(ClosedError):
        loader.get_config()


def test_what_cannot_be_read_is_said(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ExperimentLoader("memory://bucket/nothing.h5")
    with fsspec.open("memory://bucket/text.h5", "wb") as out:
        out.write(b"text")
    with pytest.raises(DamagedError, match="no HDF5 file"):
        ExperimentLoader("memory://bucket/text.h5")
    with fsspec.open("memory://bucket/cut.h5", "wb") as out:
        out.write(path.read_bytes()[:5000])
    with pytest.raises(DamagedError):
        ExperimentLoader("memory://bucket/cut.h5")
    with DataExporter("running", tmp_path) as exporter:
        exporter.start_episode()
        put(exporter.h5_path, "memory://bucket/running.h5")
        with pytest.raises(ReadError, match="has not ended"):
            ExperimentLoader("memory://bucket/running.h5")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    serving = moto.ThreadedMotoServer(port=0)
    serving.start()
    host, port = serving.get_host_and_port()
    yield f"http://{host}:{port}"
    serving.stop()


def _rewards(loader: ExperimentLoader) -> float:
    return float(loader.get_episode(7).get_rewards()["rewards"].sum())


def test_an_object_store_is_read_by_ranges_from_every_process(path: Path, server: str) -> None:
    options = {"key": "a", "secret": "b", "endpoint_url": server}
    fsspec.filesystem("s3", **options).mkdir("bucket")
    put(path, "s3://bucket/run.h5", **options)
    same(path, "s3://bucket/run.h5", **options)
    with ExperimentLoader("s3://bucket/run.h5", storage_options=options) as loader:
        wanted = _rewards(loader)
        assert _rewards(pickle.loads(pickle.dumps(loader))) == wanted
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            assert pool.map(_rewards, [loader, loader]) == [wanted, wanted]
