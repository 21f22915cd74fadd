"""However a sweep is spread, each setting has a recording of its own, and all appear in one collection."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from loaders import ExperimentCollection
from recorder import DataExporter
from tests.test_examples import EXAMPLES, load

ROOT = EXAMPLES.parent
SCRIPT = [sys.executable, str(EXAMPLES / "sweep.py")]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether every setting was recorded once."""
    settings = load("sweep", monkeypatch).SETTINGS
    runs = ExperimentCollection(folder)
    found = [{"noise": run["config.noise"], "seed": run["config.seed"]} for run in runs]
    assert {run["status"] for run in runs} == {"completed"}
    assert all(run["config.seed"] is not None for run in runs)
    return sorted(map(str, found)) == sorted(map(str, settings))


def test_processes_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with DataExporter("another", tmp_path / "others"):
        pass  # whose configuration has no such keys
    done = subprocess.run(
        [*SCRIPT, str(tmp_path)], env=environment(), check=True, capture_output=True, text=True
    )
    assert done.stdout.count("completed") == 12
    shutil.rmtree(tmp_path / "others")
    assert whole(tmp_path, monkeypatch)


def test_tasks_of_an_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [
        subprocess.Popen(
            [*SCRIPT, str(tmp_path)],
            env=environment(
                SLURM_ARRAY_TASK_ID=str(task),
                SLURM_ARRAY_TASK_COUNT="4",
                SLURM_ARRAY_TASK_MIN="1",
                SLURM_ARRAY_TASK_MAX="4",
            ),
        )
        for task in range(1, 5)
    ]
    assert [task.wait() for task in tasks] == [0] * 4
    assert whole(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "ids",
    [range(8), range(1, 9), (1, 5, 9), range(0, 15, 2), range(20), (7,), (1, 2, 9), (0, 5, 6, 7)],
    ids=str,
)
def test_shares_of_an_array(ids: Sequence[int], monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = load("sweep", monkeypatch)
    facts = {"COUNT": len(ids), "MIN": min(ids), "MAX": max(ids)}
    shared: list[dict[str, float]] = []
    refused = 0
    for task in ids:
        for name, value in (facts | {"ID": task}).items():
            monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", str(value))
        try:
            rank, size = sweep.share()
        except SystemExit:
            refused += 1
        else:
            shared += sweep.SETTINGS[rank::size]
    assert refused or sorted(map(str, shared)) == sorted(map(str, sweep.SETTINGS))
    assert bool(refused) == (list(ids) in ([1, 2, 9], [0, 5, 6, 7]))


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun here")
def test_ranks_of_mpi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    subprocess.run(
        ["mpirun", "--oversubscribe", "-n", "4", *SCRIPT, str(tmp_path)],
        env=environment(**allowed),
        check=True,
        capture_output=True,
    )
    assert whole(tmp_path, monkeypatch)


def test_workers_of_dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    example = load("sweep", monkeypatch)
    options = {"n_workers": 2, "threads_per_worker": 2, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        client.upload_file(str(EXAMPLES / "sweep.py"))
        folders = client.gather(client.map(example.run, example.SETTINGS, output=str(tmp_path)))
    assert len(set(folders)) == 12
    assert whole(tmp_path, monkeypatch)
