"""A disk that fills up while a recording is packed, merged or split: a typed error, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from loaders import ExperimentLoader, assembling
from recorder import DataExporter
from recorder.errors import WriteError

ROOMS = (4096, 50_000, 300_000)
pytestmark = pytest.mark.usefixtures("ctrl_c")

_BODY = """
import resource, signal, sys
from loaders.assembling import merge, pack, split
from recorder.errors import WriteError
path, out = sys.argv[1:3]
ways = {
    "pack": lambda: pack(path, out),
    "cloud": lambda: pack(path, out, cloud=True, scales=True),
    "lzf": lambda: pack(path, out, compression="lzf"),
    "in place": lambda: pack(path, compression=None),
    "split": lambda: split(path, [0, 1], out),
    "merge": lambda: merge([path, path], out),
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for room in map(int, sys.argv[3:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    for way, do in ways.items():
        try:
            do()
        except WriteError as error:
            print(way, error, repr(error.__cause__), flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with DataExporter("run", tmp_path, neural_sampling_rate=1) as exporter:
        for _ in range(3):
            exporter.start_episode()
            values = np.random.default_rng(0).random((4000, 10))
            exporter.log_batch(np.arange(4000), neural_state={"v": values})
            exporter.end_episode()
        return Path(exporter.h5_path)


def test_a_full_disk_is_said_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    before, there = path.read_bytes(), sorted(tmp_path.rglob("*"))
    out = tmp_path / "new" / "out.h5"
    # In a process of its own, which HDF5 used to crash at its end.
    done = subprocess.run(
        [sys.executable, "-c", _BODY, str(path), str(out), *map(str, ROOMS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 6 * len(ROOMS)
    for line in lines:
        written = path if line.startswith("in place") else out
        assert f"{written} could not be written: File too large; the recording" in line
        assert "as before" in line
        assert "OSError(27, 'File too large')" in line
    assert path.read_bytes() == before
    assert sorted(tmp_path.rglob("*")) == there


def test_a_file_that_cannot_be_made_is_said(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def full(name: object, *arguments: int) -> int:
        if Path(str(name)).match("out.h5.*.new"):
            raise OSError(28, "No space left on device")
        return real(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(
        WriteError, match=r"out\.h5 could not be written: No space .*; the recording is as before"
    ):
        assembling.pack(path, tmp_path / "out.h5")


@pytest.mark.parametrize("compression", ["keep", "lzf"])
def test_an_interrupt_leaves_nothing(path: Path, tmp_path: Path, compression: str) -> None:
    there = sorted(tmp_path.rglob("*"))
    handler = signal.getsignal(signal.SIGINT)

    def stop(done: int, _: int) -> None:
        assert done == 1
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        assembling.pack(path, tmp_path / "out.h5", compression=compression, progress=stop)
    assert signal.getsignal(signal.SIGINT) is handler
    assert sorted(tmp_path.rglob("*")) == there
    with ExperimentLoader(path) as loader:
        assert loader.list_episodes() == [0, 1, 2]
