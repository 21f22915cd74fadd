"""Who was given a relative path goes on with what it meant then, wherever the program goes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentCollection, ExperimentLoader, LiveExperiment
from loaders.dashboard.library import Library
from loaders.windows.sources.recording import episode_sources
from recorder import DataExporter
from recorder.h5.reading.scattered import RowFile

RUN = Path("experiments") / "run"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders, each with a recording of the same name."""
    made = []
    for value in (1.0, 2.0):
        base = tmp_path_factory.mktemp("project")
        with DataExporter("run", base / "experiments", neural_sampling_rate=1) as exporter:
            exporter.save_config({"lr": value})
            exporter.start_episode()
            exporter.log_batch(np.arange(10), behavior={"x": np.full(10, value)}, reward=np.full(10, value))
            exporter.end_episode()
        exporter.output_dir.rename(base / RUN)
        made.append(base)
    return made[0], made[1]


def _loader() -> Callable[[], Any]:
    loader = ExperimentLoader(RUN)
    assert str(RUN) in repr(loader)
    assert not repr(loader).count(str(Path.cwd())), "the path is shown as it was given"

    def read() -> Any:
        copied = pickle.loads(pickle.dumps(loader))
        loader.refresh()
        with copied, loader:
            assert copied.get_config() == loader.get_config()
            table = loader.episodes
            found = loader.get_config()["lr"]
        assert len(list(table)) == 1
        return found

    return read


def _collection() -> Callable[[], Any]:
    looked, lazy = (ExperimentCollection("experiments", index=False) for _ in range(2))
    assert looked[0]["config.lr"] == 1.0

    def read() -> Any:
        with looked[0].load() as loader:
            found = loader.get_config()["lr"]
        assert lazy[0]["config.lr"] == found
        looked.refresh()
        assert looked["run"]["config.lr"] == found
        assert list(looked.map_episodes(_reward).values()) == [found]
        assert str(looked.folder) == "experiments"
        return found

    return read


def _reward(episode: Any) -> float:
    return float(episode.get_rewards()["rewards"].mean())


def _live() -> Callable[[], Any]:
    live = LiveExperiment(RUN, wait=0)
    return lambda: live.experiment.get_config()["lr"]


def _library() -> Callable[[], Any]:
    library = Library(Path("experiments"))

    def read() -> Any:
        (entry,) = library.entries()
        with ExperimentLoader(entry.path) as loader:
            return loader.get_config()["lr"]

    return read


def _rows() -> Callable[[], Any]:
    rows = RowFile(RUN / "experiment_data.h5", "episodes/episode_0000/behavior/x")
    rows.close()
    made = pickle.dumps(RowFile(RUN / "experiment_data.h5", "episodes/episode_0000/behavior/x"))
    return lambda: float(pickle.loads(made).read([0])[0])


def _windows() -> Callable[[], Any]:
    (source,) = episode_sources(RUN, streams=["behavior/x"]).values()

    def read() -> Any:
        samples = source.open(Path())
        found = float(samples.read(0, 1)[0, 0])
        samples.close()
        return found

    return read


@pytest.mark.parametrize("opened", [_loader, _collection, _live, _library, _rows, _windows])
def test_a_change_of_the_working_folder_changes_no_recording(
    opened: Callable[[], Callable[[], Any]], projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(projects[0])
    read = opened()
    monkeypatch.chdir(projects[1])
    assert read() == 1.0
