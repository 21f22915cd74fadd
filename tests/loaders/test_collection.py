"""Many recordings as one table: what it says, what it keeps, and what it notices."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loaders import ExperimentCollection
from loaders.collection import index as index_module
from recorder import DataExporter
from recorder.cli import cli
from tests.test_reference_recordings import DATA


def record(root: Path, name: str, config: dict[str, Any], rewards: list[float]) -> Path:
    with DataExporter(name, output_base_dir=str(root)) as exporter:
        exporter.save_config(config)
        for number, reward in enumerate(rewards):
            exporter.start_episode()
            exporter.log(timestep=0, reward=reward)
            exporter.end_episode(success=number > 0, summary={"score": {"a": reward}, "note": "text"})
        return Path(exporter.output_dir)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "experiments"
    record(root, "one", {"lr": 0.1, "net": {"n": 3}, "seed": 1}, [1.0, 2.0])
    record(root / "below", "two", {"lr": 0.2, "net": {"n": 3}}, [5.0])
    return root


def test_a_row_says_what_the_recording_is(folder: Path) -> None:
    runs = ExperimentCollection(folder)
    assert [run.name.rsplit("_", 2)[0] for run in runs] == ["below/two", "one"]
    run = runs[1]
    assert run == runs[run.name]
    assert (run["status"], run["episodes"], run["steps"], run["experiment"]) == ("completed", 2, 2, "one")
    assert (run["config.lr"], run["config.net.n"], run.config["seed"]) == (0.1, 3, 1)
    assert (run["mean_reward"], run["mean_success"], run["summary.score.a"]) == (1.5, 0.5, 1.5)
    assert run["size_bytes"] == run.file.stat().st_size
    assert run["duration_s"] >= 0
    with run.load() as loader:
        assert loader.list_episodes() == [0, 1]
    with pytest.raises(KeyError, match="no recording 'three'"):
        runs["three"]
    with pytest.raises(NotADirectoryError):
        ExperimentCollection(folder / "none")


def test_filter_sort_compare(folder: Path) -> None:
    runs = ExperimentCollection(folder)
    assert [run["config.lr"] for run in runs.sort("mean_reward")] == [0.1, 0.2]
    assert [run["config.lr"] for run in runs.sort("config.seed", descending=True)] == [0.1, 0.2]
    assert len(runs.filter(**{"config.net.n": 3})) == 2
    assert len(runs.filter(lambda run: run["steps"] > 1, status="completed")) == 1
    assert len(runs.filter(**{"config.lr": lambda lr: lr > 0.15})) == 1
    assert len(runs[:1].filter(status="killed")) == 0
    two, one = (run.name for run in runs)
    assert runs.compare() == {"lr": {two: 0.2, one: 0.1}, "seed": {two: None, one: 1}}
    assert runs.compare(one) == {}


def test_a_frame_of_pandas(folder: Path) -> None:
    pytest.importorskip("pandas")
    frame = ExperimentCollection(folder).to_pandas()
    assert frame.index.name == "name"
    assert frame["config.lr"].tolist() == [0.2, 0.1]
    assert list(frame.columns[:3]) == ["experiment", "status", "episodes"]


def test_only_what_changed_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    module = sys.modules["loaders.collection.collection"]
    real = module.facts_of
    monkeypatch.setattr(module, "facts_of", lambda file: (read.append(file), real(file))[1])
    before = ExperimentCollection(folder)
    assert len(before) == len(read) == 2
    again = ExperimentCollection(folder)
    assert [dict(run) for run in again] == [dict(run) for run in before]
    assert len(read) == 2
    third = record(folder, "three", {}, [1.0])
    shutil.rmtree(before[0].file.parent)
    again.refresh()
    assert [run["experiment"] for run in again] == ["one"]
    assert len(ExperimentCollection(folder)) == 2
    assert read[2:] == [third / "experiment_data.h5"]
    os.utime(third / "experiment_data.h5")
    assert len(ExperimentCollection(folder)) == 2
    assert len(read) == 4
    assert len(ExperimentCollection(folder, index=False)) == 2
    assert len(read) == 6


def test_a_broken_index_costs_nothing_but_time(folder: Path) -> None:
    rows = [dict(run) for run in ExperimentCollection(folder)]
    place = index_module.index_path(folder)
    place.write_bytes(b"no database" * 100)
    assert [dict(run) for run in ExperimentCollection(folder)] == rows
    place.unlink()
    with sqlite3.connect(place) as table:
        table.execute("CREATE TABLE recordings (other TEXT)")
    assert [dict(run) for run in ExperimentCollection(folder)] == rows
    assert len(index_module.Index(place).load()) == 2


def test_living_killed_and_damaged_recordings(folder: Path) -> None:
    code = (
        "import os, signal, sys; from recorder import DataExporter\n"
        "e = DataExporter('alive', output_base_dir=sys.argv[1])\n"
        "e.start_episode(); e.log(timestep=0, reward=1.0)\n"
        "print('ready', flush=True); signal.pause()"
    )
    child = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    try:
        runs = ExperimentCollection(folder)
        alive = next(run for run in runs if run.name.startswith("alive"))
        assert alive["status"] == "running"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    runs.refresh()
    assert runs[alive.name]["status"] == "killed"
    runs[alive.name].load().close()
    runs.refresh()
    assert runs[alive.name]["status"] == "recovered"
    runs[0].file.write_bytes(b"damage")
    runs.refresh()
    broken = next(run for run in runs if run["status"] == "unreadable")
    assert "HDF5 cannot read" in broken["error"]
    assert runs.sort("steps")[-1] == broken


def test_recordings_of_the_original_system_are_rows_as_well() -> None:
    runs = ExperimentCollection(DATA, index=False)
    row = next(run for run in runs if "optimized" in run.name)
    assert (row["status"], row["episodes"], row["steps"]) == ("other", 3, 750)
    assert any(name.startswith("config.") for name in row)


def test_the_command_lists_filters_and_sorts(folder: Path) -> None:
    def ls(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["ls", str(folder), *arguments])

    shown = ls("--sort", "config.lr", "--descending", "--column", "config.lr").output.splitlines()
    assert shown[0].split()[-1] == "config.lr"
    assert [line.split()[-1] for line in shown[1:]] == ["0.2", "0.1"]
    assert len(ls("--where", "config.seed=1").output.splitlines()) == 2
    assert "no recordings" in ls("--where", "status=killed").output
    assert "config.net.n" in ls("--all-columns").output.splitlines()
    assert ls("--sort", "nothing").exit_code == 2
    assert "no recording has a column 'nothing'" in ls("--sort", "nothing").output
    assert ls("--where", "status").exit_code == 2
