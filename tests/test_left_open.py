"""What a program leaves open when it ends is closed while Python is still there; HDF5 would crash else."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, process
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


def collect() -> None:
    """Have the collector find what nobody refers to, and wait for what it began."""
    gc.collect()
    process._end_left()


@pytest.mark.parametrize("threaded", [False, True], ids=["caller", "thread"])
def test_an_exporter_that_nobody_has_any_more_is_ended(tmp_path: Path, threaded: bool) -> None:
    """As when a cell of a notebook is run again: its steps are stored, and nothing of it stays open."""
    exporter = DataExporter("run", tmp_path, async_write=threaded)
    exporter.start_episode()
    for step in range(50):
        exporter.log(step, reward=float(step))
    path = exporter.h5_path
    with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031 - either may be what finds it
        del exporter
        collect()
    assert sorted(item.suffix for item in path.parent.iterdir()) == [".h5", ".json"]
    with ExperimentLoader(path) as loader:
        assert (loader.status, loader.attributes["ended_by"]) == ("interrupted", "garbage collection")
        assert loader.get_episode(0).get_rewards()["rewards"].tolist() == list(range(50))
    gc.collect()  # the warning has it
    if (opened := Path("/proc/self/fd")).is_dir():
        for link in opened.iterdir():
            with contextlib.suppress(FileNotFoundError):  # the listing's own
                assert tmp_path not in link.readlink().parents


@pytest.mark.parametrize("name", ["log", "end_episode", "current_episode"])
def test_who_has_a_part_of_it_has_the_recording(tmp_path: Path, name: str) -> None:
    exporter = DataExporter("run", tmp_path)
    exporter.start_episode()
    exporter.log(0, reward=0.0)
    path, part = exporter.h5_path, getattr(exporter, name)
    del exporter
    collect()
    with ExperimentLoader(path) as loader:
        assert loader.status == "running"
    with pytest.warns(ResourceWarning, match="never closed"):  # noqa: PT031
        del part
        collect()
    with ExperimentLoader(path) as loader:
        assert loader.status == "interrupted"


def test_it_is_ended_where_warnings_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer's error goes nowhere, and the recording ends all the same."""
    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: raised.append(args.exc_type))
    exporter = DataExporter("run", tmp_path)
    path = exporter.h5_path
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        del exporter
        gc.collect()
    assert ResourceWarning in raised
    until = time.monotonic() + 60
    while process._left and time.monotonic() < until:
        time.sleep(0.01)  # its thread's time
    with ExperimentLoader(path) as loader:
        assert loader.status == "interrupted"
