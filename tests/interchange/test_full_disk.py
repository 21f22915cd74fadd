"""A disk that fills up while a recording is exported: a typed error, and nothing is left."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from recorder import DataExporter

_BODY = """
import resource, signal, sys, warnings
warnings.simplefilter("ignore")
from loaders import ExperimentLoader
from recorder.errors import WriteError
path, out, *chosen = sys.argv[1:]
with ExperimentLoader(path) as recording:
    episode = recording.get_episode(0)
    ways = {
        "netcdf": lambda: recording.to_netcdf(out),
        "nwb": lambda: recording.to_nwb(out, dt=0.001),
        "sonata": lambda: episode.to_sonata(out, dt=0.001, as_float32=True),
        "parquet": lambda: recording.to_parquet(out),
    }
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    for way in chosen:
        try:
            ways[way]()
        except WriteError as error:
            print(way, error, flush=True)
"""
_NEEDED = {"netcdf": "h5netcdf", "nwb": "pynwb", "sonata": "numpy", "parquet": "pyarrow"}


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    ways = [way for way, library in _NEEDED.items() if find_spec(library) is not None]
    with DataExporter("run", tmp_path, neural_sampling_rate=1) as exporter:
        exporter.start_episode()
        values = np.random.default_rng(0).random((4000, 20))
        exporter.log_batch(np.arange(4000), neural_state={"v": values})
        exporter.end_episode()
    there = sorted(tmp_path.rglob("*"))
    out = tmp_path / "out"
    # In a process of its own, which HDF5 used to crash at its end.
    done = subprocess.run(
        [sys.executable, "-c", _BODY, str(exporter.h5_path), str(out), *ways],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ways
    for line in lines:
        assert f"{out} could not be written: " in line
        assert "ile too large" in line
    assert sorted(tmp_path.rglob("*")) == there
