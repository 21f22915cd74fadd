"""Many recordings from many processes at once, and their analysis on a cluster of several."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import EpisodeData, ExperimentCollection
from loaders.collection import fan
from loaders.collection import lazy as lazy_module
from recorder import DataExporter
from recorder.errors import OptionError, ReplacedError


def sweep(folder: Path, number: int) -> str:
    with DataExporter("sweep", folder, neural_sampling_rate=1) as exporter:
        exporter.save_config({"number": number})
        for _ in range(2):
            exporter.start_episode()
            for t in range(50):
                exporter.log(
                    timestep=t, neural_state={"v": np.full(3, number + t / 100)}, reward=float(number)
                )
            exporter.end_episode()
        return exporter.output_dir.name


def total(episode: EpisodeData) -> float:
    return float(episode.get_rewards()["rewards"].sum())


def wrong(episode: EpisodeData) -> None:
    if episode.episode_id:
        raise ValueError("not this one")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sweep")
    # All begin within the second that is in their names.
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        names = pool.starmap(sweep, [(place, number) for number in range(8)])
    assert len(set(names)) == 8
    return place


def test_recordings_of_many_processes_never_collide(folder: Path) -> None:
    runs = ExperimentCollection(folder)
    assert sorted(run["config.number"] for run in runs) == list(range(8))
    assert {run["status"] for run in runs} == {"completed"}


def test_episodes_are_mapped_here(folder: Path) -> None:
    runs = ExperimentCollection(folder)
    wanted = {(run.name, number): 50.0 * run["config.number"] for run in runs for number in (0, 1)}
    assert runs.map_episodes(total) == wanted
    with pytest.raises(ValueError, match="not this one") as caught:
        runs.map_episodes(wrong)
    assert "episode 1 of" in caught.value.__notes__[0]


def test_each_recording_is_opened_once_for_all_of_its_episodes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    real = fan.ExperimentLoader
    monkeypatch.setattr(fan, "ExperimentLoader", lambda file: (opened.append(file), real(file))[1])
    runs = ExperimentCollection(folder)
    assert len(runs.map_episodes(total)) == 16
    assert opened == [run.file for run in runs]


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    return recorded(tmp_path, 1.0)


def recorded(root: Path, value: float) -> Path:
    shutil.rmtree(root / "run", ignore_errors=True)
    with DataExporter("a", root, neural_sampling_rate=1) as exporter:
        exporter.start_episode()
        exporter.log_batch(
            np.arange(10), neural_state={"v": np.arange(20.0).reshape(10, 2) + value, "s": np.full(10, value)}
        )
        exporter.end_episode()
    exporter.output_dir.rename(root / "run")
    return root


def lazy(root: Path, stream: str = "neural_states/v", **options: Any) -> Any:
    pytest.importorskip("dask.array")
    return ExperimentCollection(root).to_dask(stream, **options)["run", 0]


def test_chunks_have_rows_or_all_of_an_episode(alone: Path) -> None:
    wanted = np.arange(20.0).reshape(10, 2) + 1
    for rows, chunks in ((-1, (10,)), (4, (4, 4, 2)), (10, (10,)), (np.int64(99), (10,))):
        array = lazy(alone, rows=rows)
        assert array.chunks == (chunks, (2,))
        np.testing.assert_array_equal(array.compute(scheduler="sync"), wanted)
    assert lazy(alone, "neural_states/s", rows=4).sum().compute(scheduler="sync") == 10.0


@pytest.mark.parametrize("rows", [0, -2, 1e5, "all", None])
def test_another_number_of_rows_is_a_typed_error(alone: Path, rows: Any) -> None:
    with pytest.raises(OptionError, match="1 or more, or -1"):
        lazy(alone, rows=rows)


def test_slices_of_a_lazy_stream_are_those_of_numpy(alone: Path) -> None:
    array, wanted = lazy(alone, rows=4), np.arange(20.0).reshape(10, 2) + 1
    for index in (
        slice(3, 9),
        slice(None, None, -3),
        5,
        -1,
        (slice(2, 7, 2), 1),
        (slice(None), [1, 0]),
        (3, 1),
    ):
        np.testing.assert_array_equal(array[index].compute(scheduler="sync"), wanted[index])
    assert array[array[:, 0] > 10].compute(scheduler="sync").shape == (5, 2)


def test_a_replaced_file_is_not_taken_for_the_former(alone: Path) -> None:
    former, same = lazy(alone), lazy(alone)
    assert former.name == same.name
    assert former.name != lazy(alone, rows=5).name
    recorded(alone, 2.0)
    assert lazy(alone).name != former.name
    with pytest.raises(ReplacedError, match="another recording than when"):
        former.compute(scheduler="sync")
    assert lazy(alone)[0, 0].compute(scheduler="sync") == 2.0


def test_what_is_lazy_is_pickled_without_a_handle(alone: Path) -> None:
    array = lazy(alone)
    text = pickle.dumps(array)
    assert len(text) < 5000
    assert pickle.loads(text).sum().compute(scheduler="sync") == 210.0


def test_a_living_recording_shares_no_names(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_module, "stamp_of", lambda _: None)
    assert lazy(alone).name != lazy(alone).name


class Together:
    """A cluster of one thread, in this process."""

    def __init__(self) -> None:
        self.tasks: list[Any] = []

    def nthreads(self) -> dict[str, int]:
        return {"here": 1}

    def submit(self, function: Any, *arguments: Any, pure: bool) -> Any:
        assert pure is False
        self.tasks.append(arguments[-1])
        return function(*pickle.loads(pickle.dumps(arguments)))

    def gather(self, futures: list[Any]) -> list[Any]:
        return futures


def test_a_task_has_several_episodes_where_there_are_many(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, client = ExperimentCollection(folder), Together()
    assert runs.map_episodes(total, client) == runs.map_episodes(total)
    assert client.tasks == [[0], [1]] * 8
    monkeypatch.setattr(fan, "_TASKS", 4)
    client.tasks.clear()
    assert runs.map_episodes(total, client) == runs.map_episodes(total)
    assert client.tasks == [[0, 1]] * 8


def test_a_cluster_does_the_same(folder: Path) -> None:
    distributed = pytest.importorskip("distributed")
    pytest.importorskip("dask.array")
    runs = ExperimentCollection(folder)
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        assert runs.map_episodes(total, client) == runs.map_episodes(total)
        with pytest.raises(ValueError, match="not this one"):
            runs.map_episodes(wrong, client)
        arrays = runs.to_dask("neural_states/v", rows=20)
        assert len(arrays) == 16
        for (name, number), array in arrays.items():
            assert array.chunks == ((20, 20, 10), (3,))
            with runs[name].load() as loader:
                wanted = loader.get_episode(number).stream("neural_states/v")[:]
            np.testing.assert_array_equal(array.compute(), wanted)
    assert runs.to_dask("neural_states/w") == {}
