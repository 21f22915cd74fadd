"""A recording that is reached by a link to its file is the same recording."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from loaders import ExperimentCollection, ExperimentLoader, LiveExperiment
from recorder import DataExporter, RecordingLockedError
from recorder.h5.repair import repair
from recorder.h5.verify import verify
from tests.killed import as_killed

STEPS = np.arange(700)


@contextlib.contextmanager
def recorded(folder: Path) -> Iterator[DataExporter]:
    """One that has logged, and has not ended."""
    with DataExporter("run", folder, async_write=False) as exporter:
        exporter.start_episode()
        for step in STEPS:
            exporter.log(int(step), behavior={"x": step / 2})
        yield exporter


def linked(file: Path, folder: Path) -> Path:
    """A link to a link to the file, in another folder and under another name."""
    folder.mkdir()
    (folder / "first.h5").symlink_to(file)
    link = folder / "experiment_data.h5"
    link.symlink_to(folder / "first.h5")
    return link


def read(path: Path) -> tuple[str, list[float]]:
    with ExperimentLoader(path) as loader:
        return loader.status, loader.get_episode(0).get_behavior()["x"].tolist()


def resumed(path: Path) -> None:
    DataExporter.resume(path).close()


@pytest.mark.parametrize("first", [read, repair, resumed], ids=["read", "repaired", "resumed"])
def test_what_was_logged_comes_back_through_a_link(first: Callable[[Path], object], tmp_path: Path) -> None:
    with recorded(tmp_path / "runs") as exporter:
        file = as_killed(exporter, tmp_path / "killed")
    link = linked(file, tmp_path / "linked")
    assert ExperimentCollection(link.parent, index=False)[0]["status"] == "killed"
    assert any("repair" in found.message for found in verify(link))
    first(link)
    assert link.is_symlink()
    assert not list(verify(link))
    assert read(link) == read(file)
    assert read(link)[1] == (STEPS / 2).tolist()
    assert sorted(path.name for path in link.parent.iterdir()) == ["experiment_data.h5", "first.h5"]


def test_a_living_one_is_seen_and_left_alone(tmp_path: Path) -> None:
    with recorded(tmp_path / "runs") as exporter:
        exporter.flush()
        link = linked(exporter.h5_path, tmp_path / "linked")
        runs = ExperimentCollection(link.parent)
        assert runs[0]["status"] == "running"
        assert read(link) == read(exporter.h5_path)
        with LiveExperiment(link) as live:
            status = live.status()
            assert (status.state, status.alive) == ("running", True)
            assert live.tail("behavior/x", 10).values.tolist() == (STEPS[-10:] / 2).tolist()
        with pytest.raises(RecordingLockedError):
            DataExporter.resume(link)
    assert ExperimentCollection(link.parent)[0]["status"] == "completed"
