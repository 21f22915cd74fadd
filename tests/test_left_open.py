"""What a program leaves open when it ends is closed while Python is still there; HDF5 would crash else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.writer import main as record

KEEP = """
import ctypes, os, sys
def keep(thing):
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))  # as a global of a C extension is
    return thing
"""
LOADER = """
from loaders import ExperimentLoader
loader = keep(ExperimentLoader(sys.argv[1]))
assert len(loader.get_episode(0).get_rewards()["rewards"]) == 20
"""
LIVING = """
from loaders import LiveExperiment
from recorder import DataExporter
exporter = DataExporter("run", sys.argv[2])
exporter.start_episode()
exporter.log(0, reward=1.0)
live = keep(LiveExperiment(exporter.h5_path))
assert live.rewards().values.tolist() == [1.0]
updates = keep(live.follow(history=True))
assert next(updates).rewards.values.tolist() == [1.0]
"""
STORE = """
import numpy as np
from recorder.storage import HDF5Storage
store = keep(HDF5Storage(sys.argv[2] + "/s.h5"))
name = store.store_spike_train(1.0, np.arange(5.0), np.arange(5))
other = keep(HDF5Storage(sys.argv[2] + "/s.h5"))
assert other.retrieve_spike_train(name).neuron_ids.tolist() == [0, 1, 2, 3, 4]
"""
FORKED = """
pid = os.fork()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize("forked", [False, True], ids=["", "forked"])
@pytest.mark.parametrize("code", [LOADER, LIVING, STORE], ids=["loader", "living", "store"])
def test_no_crash_at_the_end(tmp_path: Path, code: str, forked: bool) -> None:
    record(str(tmp_path / "recorded"), 1, 20, 0.0)
    (file,) = (tmp_path / "recorded").glob("*/experiment_data.h5")
    script = KEEP + code + (FORKED if forked else "")
    done = subprocess.run(
        [sys.executable, "-c", script, str(file), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
