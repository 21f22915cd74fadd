"""Killed processes, sixty in all: nothing that was logged is lost, and the file always opens.

``benchmarks/crash.py`` does the same by the thousand, and says what it found in its saved result.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter
from tests.crash import shim
from tests.crash.checking import check_recovered
from tests.crash.harness import in_memory
from tests.crash.work import SAMPLING, Told, record

ROOT = Path(__file__).parents[2]


def crash(folder: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "benchmarks/crash.py", "--output", str(folder), *arguments],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **in_memory()},
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "crash.json").read_text())
    return found


@pytest.mark.usefixtures("each_hot_path")
def test_nothing_acknowledged_is_lost_to_a_kill_at_any_instant(tmp_path: Path) -> None:
    found = crash(tmp_path, "--kills", "20")["random"]
    assert found["kills"] + found["ended_before_the_kill"] == 20
    assert found["steps_compared"] > 500
    assert not found["failures"]


def test_nothing_is_lost_to_a_kill_after_any_file_operation(tmp_path: Path) -> None:
    try:
        shim.shim()
    except shim.NoCompilerError as reason:
        pytest.skip(str(reason))
    found = crash(tmp_path, "--kills", "0", "--sweep", "--stride", "50", "--episodes", "10")
    assert found["sweep, caller"]["kills"] > 2
    assert found["sweep, thread"]["kills"] > 2
    assert found["killed repairs"]["kills"] > 10
    assert not any(found[mode]["failures"] for mode in found if "kill" in mode or "sweep" in mode)


SHORT_ONES = """
import sys
from tests.crash.harness import Flight, fly
seen = 0
for seed in range(int(sys.argv[1])):
    options = {"ring_bytes": 1 << 20, "async_write": seed % 3 == 1}
    options["durability"] = ("process", "fsync")[seed % 5 == 4]
    verdict = fly(Flight(seed, 0.02 * seed, 0, options, longest=60, way=seed % 4))
    assert not verdict.error, (seed, verdict)
    seen += verdict.told["ended"]
print(seen)
"""


@pytest.mark.usefixtures("each_hot_path")
def test_short_episodes_laid_out_many_at_a_time_are_each_whole_or_come_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHORT_ONES, "14"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **in_memory()},
    )
    assert done.returncode == 0, done.stderr[-6000:]
    assert int(done.stdout) > 0


def test_a_folder_that_cannot_be_written_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, left = Told(), tmp_path / "left"
    with DataExporter("run", tmp_path, neural_sampling_rate={"v": SAMPLING}, validate_data=False) as exporter:
        record(exporter, 3, told, 12, 400)
        exporter.start_episode()
        told["started"] += 1
        told["calls"] = 0
        # The page cache is all that a kill leaves.
        shutil.copytree(exporter.output_dir, left, ignore=shutil.ignore_patterns("*.lock"))
    path = left / "experiment_data.h5"
    before = {p.name: p.read_bytes() for p in left.iterdir() if p.is_file()}

    def refuse(_: Path) -> None:
        raise PermissionError(13, "read-only folder")

    # Permissions do not stop root, who runs many test machines.
    monkeypatch.setattr("recorder.h5.file.repair", refuse)
    check_recovered(path, 3, told.as_dict(), 400)
    assert {p.name: p.read_bytes() for p in left.iterdir() if p.is_file()} == before


def test_repair_reads_what_the_ring_holds_and_not_the_file(tmp_path: Path) -> None:
    read = []
    for steps in (60_000, 1_200_000):
        folder = tmp_path / str(steps)
        with DataExporter("run", folder, compression=None, ring_bytes=1 << 20) as exporter:
            exporter.start_episode()
            values = np.random.default_rng(0).random((steps, 4))
            exporter.log_batch(np.arange(steps), behavior={"x": values})
            left = folder / "left"
            shutil.copytree(exporter.output_dir, left, ignore=shutil.ignore_patterns("*.lock"))
        code = (
            "import sys, pathlib, psutil; from recorder.h5.repair import repair\n"
            "before = psutil.Process().io_counters().read_chars\n"
            "repair(pathlib.Path(sys.argv[1]))\n"
            "print(psutil.Process().io_counters().read_chars - before)\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, str(left / "experiment_data.h5")],
            check=True,
            capture_output=True,
            text=True,
        )
        read.append(int(run.stdout))
        with ExperimentLoader(left) as loader:
            assert np.array_equal(loader.get_episode(0).get_behavior()["x"], values)
    # What waited for its chunk to fill, at most a megabyte, is read as well; the file has forty.
    assert read[1] < 2 * read[0] + (1 << 20)
