"""Thirty processes killed while they record: no acknowledged step is lost, and the file always opens."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import pytest

from recorder.h5.repair import repair
from tests.crash.checking import check_recovered

LEFT_OVERS = {".ring", ".journal", ".lock"}


def kill_one(
    folder: Path, steps: int, delay: float, writer: str = "thread"
) -> tuple[Path, tuple[int, int, int]]:
    """Record in another process, SIGKILL it after ``delay`` seconds; the file and what was acknowledged."""
    acknowledge = folder / "acknowledged"
    acknowledge.write_bytes(bytes(24))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crash.child", str(folder), str(acknowledge), str(steps), writer],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        threading.Event().wait(delay)
        process.kill()
    (path,) = folder.glob("run_*/experiment_data.h5")
    logged, running, ended = struct.unpack("3q", acknowledge.read_bytes())
    return path, (logged, running, ended)


@pytest.mark.parametrize("seed", range(30))
def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    steps = chance.choice([1, 30, 200, 3000, 1_000_000])
    path, acknowledged = kill_one(tmp_path, steps, chance.random() * 0.3, ("thread", "caller")[seed % 2])
    with h5py.File(path, "r") as file:
        assert file.attrs["format"] == "flightrec"
        for episode in file["episodes"].values():
            for group in ("behavior", "spikes"):
                for dataset in episode[group].values():
                    dataset[()]
    if seed % 4 < 2:
        assert repair(path).status == "recovered"
        assert not {p.suffix for p in path.parent.iterdir()} & LEFT_OVERS
        assert repair(path).status == "clean"
    check_recovered(path, acknowledged, steps)
    assert not {p.suffix for p in path.parent.iterdir()} & LEFT_OVERS


def test_a_repair_may_be_killed_at_any_write(tmp_path: Path) -> None:
    path, acknowledged = kill_one(tmp_path, 500, 0.25)
    code = (
        "import os, sys, pathlib\n"
        "from recorder.h5 import repair, transaction\n"
        "left = int(sys.argv[2])\n"
        "real = {n: getattr(os, n) for n in ('pwrite', 'ftruncate', 'fsync', 'unlink')}\n"
        "def dying(name):\n"
        "    def call(*a, **k):\n"
        "        global left\n"
        "        left -= 1\n"
        "        if left < 0: os._exit(9)\n"
        "        return real[name](*a, **k)\n"
        "    return call\n"
        "for name in real: setattr(os, name, dying(name))\n"
        "repair.repair(pathlib.Path(sys.argv[1]))\n"
    )
    for writes in (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 100_000):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), str(writes)], check=False, cwd=Path(__file__).parents[2]
        )
        assert done.returncode in (0, 9)
        if done.returncode == 0:
            break
    check_recovered(path, acknowledged, 500)


def test_a_folder_that_cannot_be_written_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, acknowledged = kill_one(tmp_path, 5000, 0.2)
    before = {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}

    def refuse(_: Path) -> None:
        raise PermissionError(13, "read-only folder")

    # Permissions do not stop root, who runs many test machines.
    monkeypatch.setattr("recorder.h5.file.repair", refuse)
    check_recovered(path, acknowledged, 5000)
    assert {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file()} == before
