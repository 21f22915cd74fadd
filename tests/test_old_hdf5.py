"""HDF5's own tools, of whatever version is installed, open a recording at every stage of its life.

Debian 12 has HDF5 1.10 and Debian 13 HDF5 1.14: ``apt install hdf5-tools``.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from recorder import DataExporter
from tests.crash.work import SAMPLING, Told, record

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("h5dump", "h5ls", "h5stat")),
    reason="hdf5-tools are not installed",
)

VARIABLE = "/episodes/episode_0000/behavior/x"


def check(path: Path, rows: int | None = None) -> None:
    for command in (["h5dump", "-H"], ["h5ls", "-r"], ["h5stat"]):
        done = subprocess.run([*command, str(path)], check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert "episodes" in done.stdout or path.stat().st_size
    if rows is not None:
        done = subprocess.run(
            ["h5dump", "-d", VARIABLE, "-y", "-w", "1", str(path)], check=True, capture_output=True, text=True
        )
        body = done.stdout.partition("DATA {")[2].partition("}")[0]
        values = [float(line.strip(" ,")) for line in body.split("\n") if line.strip()]
        assert values[:rows] == np.arange(float(rows)).tolist()


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("durability", ["process", "fsync"])
def test_the_tools_open_it_at_every_stage(tmp_path: Path, threaded: bool, durability: str) -> None:
    exporter = DataExporter(
        "run",
        tmp_path,
        neural_sampling_rate={"v": SAMPLING},
        validate_data=False,
        ring_bytes=1 << 20,
        chunk_size=100,
        async_write=threaded,
        durability=durability,
    )
    check(exporter.h5_path)
    exporter.start_episode()
    for t in range(5000):
        exporter.log(t, behavior={"x": float(t)}, spikes=np.arange(20) == t % 20)
    exporter.flush()
    check(exporter.h5_path, rows=4900)
    copy = tmp_path / "killed.h5"
    shutil.copyfile(exporter.h5_path, copy)
    check(copy, rows=4900)
    exporter.end_episode()
    # A thread would change the structure while a tool reads, which would have to open the file again.
    exporter.flush()
    check(exporter.h5_path, rows=5000)
    exporter.close()
    check(exporter.h5_path, rows=5000)


def test_the_tools_open_mixed_work(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path, neural_sampling_rate={"v": SAMPLING}, validate_data=False) as exporter:
        record(exporter, 3, Told(), 20, 400)
        check(exporter.h5_path)
    check(exporter.h5_path)
