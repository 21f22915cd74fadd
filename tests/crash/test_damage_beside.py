"""A killed recording whose files were damaged as well: repair ends, says so, and keeps what is committed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.errors import RepairError
from recorder.h5.repair import repair

STEPS = 30_000


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """What a kill leaves: one episode that ended, one that was running."""
    with DataExporter("run", tmp_path, ring_bytes=1 << 20) as exporter:
        exporter.save_config({"text": "a" * 200})
        for _ in range(2):
            exporter.start_episode()
            for t in range(STEPS):
                exporter.log(t, behavior={"x": float(t)})
            if exporter.episode_count == 1:
                exporter.end_episode()
                exporter.flush()
        left = tmp_path / "left"
        shutil.copytree(exporter.output_dir, left, ignore=shutil.ignore_patterns("*.lock"))
    return left / "experiment_data.h5"


def test_a_lost_page_of_a_text_heap_does_not_hang_repair(killed: Path) -> None:
    data = bytearray(killed.read_bytes())
    heap = data.find(b"GCOL")
    data[heap + 16 : heap + 4096] = bytes(4080)
    killed.write_bytes(data)
    code = "import sys, pathlib; from recorder.h5.repair import repair; repair(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(killed)], check=False, capture_output=True, text=True, timeout=120
    )
    assert "RepairError" in done.stderr
    assert bytes(data) == killed.read_bytes()


@pytest.mark.parametrize(
    "damage", ["cut", "magic", "version", "state", "first record", "another's", "nothing", "zeros"]
)
def test_what_is_committed_outlives_its_ring(killed: Path, tmp_path: Path, damage: str) -> None:
    ring = killed.with_name(killed.name + ".ring")
    data = bytearray(ring.read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "magic":
        data[0] ^= 1
    elif damage == "version":
        data[8] = 99
    elif damage == "state":
        data[64:128] = bytes(64)
    elif damage == "first record":
        data[36_864 : 36_864 + 4096 * 40] = bytes(4096 * 40)
    elif damage == "another's":
        with DataExporter("other", tmp_path / "other", ring_bytes=1 << 20) as other:
            for _ in range(4):
                other.start_episode()
                other.log_batch(np.arange(9), spikes=np.eye(9))
            other.flush()
            data = bytearray(other.h5_path.with_name(other.h5_path.name + ".ring").read_bytes())
    elif damage == "zeros":
        data = bytearray(len(data))
    if damage == "nothing":
        ring.unlink()
    else:
        ring.write_bytes(data)
    report = repair(killed)
    assert report.status in {"recovered", "damaged"}
    with ExperimentLoader(killed) as loader:
        assert loader.get_episode(0).get_behavior()["x"].tolist() == list(range(STEPS))
        for number in loader.list_episodes()[1:]:
            x = loader.get_episode(number).get_behavior().get("x", np.zeros(0))
            assert x.tolist() == list(range(len(x)))
    if report.status == "damaged":
        assert ring.with_name(ring.name + ".damaged").exists()
    assert repair(killed).status == "clean"


def test_a_file_that_is_no_longer_one_is_left_alone(killed: Path) -> None:
    killed.write_bytes(b"\0" * 48 + killed.read_bytes()[48:])
    before = killed.read_bytes()
    with pytest.raises(RepairError):
        repair(killed)
    assert killed.read_bytes() == before
    assert killed.with_name(killed.name + ".ring").exists()
