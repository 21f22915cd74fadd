"""Recordings by URL: the same as by path, in few requests, from every process."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loaders import ExperimentLoader, assembling
from loaders.comparing.recordings import differences
from recorder import DataExporter
from recorder.errors import ClosedError, DamagedError, ReadError, ReplacedError
from recorder.h5.reading import remote
from recorder.h5.reading.answers import mark_of
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


def test_urls_of_fsspec_may_be_chained(path: Path, tmp_path: Path) -> None:
    put(path, "memory://bucket/chained.h5")
    kept = {"simplecache": {"cache_storage": str(tmp_path)}}
    with ExperimentLoader("simplecache::memory://bucket/chained.h5", storage_options=kept) as there:
        assert len(there.episodes) == 40
    assert len(list(tmp_path.iterdir())) == 1


def test_a_store_that_says_no_length_is_named() -> None:
    with pytest.raises(ReadError, match=r"http://a/run.h5 cannot be read by ranges"):
        mark_of({"name": "http://a/run.h5", "size": None})


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


def test_no_garbage_is_collected_while_hdf5_waits_for_bytes(path: Path) -> None:
    """A thread of fsspec's that finds objects of h5py in it would wait for h5py's lock, and HDF5 for it."""
    put(path, "memory://bucket/waits.h5")
    with ExperimentLoader("memory://bucket/waits.h5") as loader:
        raw = loader._recording._raw  # type: ignore[attr-defined]
        real, collecting = raw._file, []

        class Watched:
            def read(self, count: int) -> bytes:
                collecting.append(gc.isenabled())
                return bytes(real.read(count))

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        raw._file = Watched()
        assert gc.isenabled()
        _rewards(loader)
        direct = len(collecting)
        loader.h5_file["episodes/episode_0038"].visit(lambda _: None)
        assert gc.isenabled()
        assert 0 < direct < len(collecting)
        assert not any(collecting)
        gc.disable()
        try:
            _rewards(loader)
            assert not gc.isenabled()
        finally:
            gc.enable()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server in a process of its own."""
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    log = tmp_path_factory.mktemp("s3") / "log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        serving = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        while not (found := re.search(r"Running on (http://\S+)", log.read_text())):
            assert serving.poll() is None, log.read_text()
            time.sleep(0.02)
        yield found[1]
    finally:
        serving.kill()
        serving.wait()


@pytest.fixture
def options(server: str) -> dict[str, Any]:
    """What fsspec takes to reach the server, which has an empty bucket."""
    options = {"key": "a", "secret": "b", "endpoint_url": server}
    store = fsspec.filesystem("s3", **options)
    if store.exists("bucket"):
        store.rm("bucket", recursive=True)
    store.mkdir("bucket")
    return options


def _rewards(loader: ExperimentLoader) -> float:
    return float(loader.get_episode(7).get_rewards()["rewards"].sum())


def test_an_object_store_is_read_by_ranges_from_every_process(path: Path, options: dict[str, Any]) -> None:
    put(path, "s3://bucket/run.h5", **options)
    same(path, "s3://bucket/run.h5", **options)
    with ExperimentLoader("s3://bucket/run.h5", storage_options=options) as loader:
        wanted = _rewards(loader)
        # It compares for itself: nobody asks it once more.
        assert not loader._recording._raw.answers.asks  # type: ignore[attr-defined]
        assert _rewards(pickle.loads(pickle.dumps(loader))) == wanted
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            assert pool.map(_rewards, [loader, loader]) == [wanted, wanted]


def test_an_object_replaced_by_one_of_its_size_is_noticed(
    path: Path, tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1 << 14)
    other = assembling.pack(record(tmp_path, "other", [0, 1, 2]), tmp_path / "packed.h5")
    first, second = path.read_bytes(), other.read_bytes()
    size = max(len(first), len(second))
    url = "s3://bucket/run.h5"

    # as another program does it: nothing that this one keeps about the store is told
    client = pytest.importorskip("boto3").client(
        "s3",
        region_name="us-east-1",
        endpoint_url=options["endpoint_url"],
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )

    def store(data: bytes) -> None:
        client.put_object(Bucket="bucket", Key="run.h5", Body=data.ljust(size, b"\0"))

    store(first)
    assert len(fsspec.filesystem("s3", **options).ls("bucket", detail=True)) == 1
    with ExperimentLoader(url, storage_options=options) as loader:
        wanted = _rewards(loader)
        travelling = pickle.dumps(loader)
        store(second)
        for _ in range(2):  # and it stays so: what was read is no part of the other
            with pytest.raises(ReplacedError, match="has been replaced"):
                loader.get_episode(39).stream("neural_states/v").read()
        with pytest.raises(ReplacedError, match="has been replaced"):
            _rewards(pickle.loads(travelling))
        with ExperimentLoader(url, storage_options=options) as another:
            assert another.list_episodes() == [0, 1, 2]
        store(first)
        assert _rewards(loader) == _rewards(pickle.loads(travelling)) == wanted
        client.delete_object(Bucket="bucket", Key="run.h5")
        with pytest.raises(ReadError, match="cannot be read") as told:
            loader.get_episode(38).stream("neural_states/v").read()
        assert not isinstance(told.value, ReplacedError)
        with pytest.raises(FileNotFoundError):
            _rewards(loader)
