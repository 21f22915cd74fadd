"""EEG windows in one HDF5 file: added whole or not at all, for any HDF5 tool, in any process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from recorder.errors import DamagedError
from recorder.h5 import eegwindows
from recorder.h5.eegwindows import EegWindowFile, alone, append, entries, finish
from recorder.h5.reading.scattered import RowFile

WINDOWS = np.random.default_rng(0).normal(size=(5, 3, 64)).astype(np.float32)
LABELS = (np.arange(5 * 64).reshape(5, 64) % 3 == 0).astype(np.float32)

KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from recorder.h5 import eegwindows, transaction
if sys.argv[2] == "journal":
    transaction._apply = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
def rows():
    yield np.zeros((3, 64), np.float32)
    if sys.argv[2] == "rows":
        os.kill(os.getpid(), signal.SIGKILL)
    yield np.ones((3, 64), np.float32)
path = Path(sys.argv[1])
with eegwindows.alone(path):
    eegwindows.append(path, "b", (2, 3, 64), rows(), None, fingerprint="f", record="{}")
"""


def add(path: Path, name: str, count: int = 5) -> None:
    given = WINDOWS[:count]
    with alone(path):
        append(path, name, given.shape, given, LABELS[:count], fingerprint=f"of {name}", record="")


def test_windows_come_back_and_any_tool_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    add(path, "a")
    append(path, "empty", (0, 3, 64), [], None, fingerprint="", record="{}")
    add(path, "c", 2)
    finish(path)
    file = EegWindowFile(path)
    assert list(file.entries) == ["a", "empty", "c"]
    window, labels = file.window("c", 1)
    assert np.array_equal(window, WINDOWS[1])
    assert np.array_equal(labels, LABELS[1])
    assert np.array_equal(list(file.labels("a")), LABELS)
    with pytest.raises(IndexError):
        file.window("c", 2)
    with h5py.File(path, "r") as plain:
        assert np.array_equal(plain["windows"][:5], WINDOWS)
        assert plain["windows"].chunks == (1, 3, 64)
        assert plain["files/name"].asstr()[:].tolist() == ["a", "empty", "c"]
        assert plain["files/count"][:].tolist() == [5, 0, 2]


def test_a_name_that_comes_again_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    add(path, "a")
    add(path, "b", 1)
    add(path, "a", 3)
    found = entries(path)
    assert {name: entry.count for name, entry in found.items()} == {"a": 3, "b": 1}
    assert np.array_equal(EegWindowFile(path).window("b", 0)[0], WINDOWS[0])


@pytest.mark.parametrize("when", ["rows", "journal"])
def test_a_killed_writer_leaves_all_of_a_recording_or_nothing(tmp_path: Path, when: str) -> None:
    path = tmp_path / "w.h5"
    add(path, "a")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), when], check=False)
    assert done.returncode == -signal.SIGKILL
    found = entries(path)
    assert list(found) == (["a"] if when == "rows" else ["a", "b"])
    file = EegWindowFile(path)
    assert np.array_equal([file.window("a", k)[0] for k in range(5)], WINDOWS)
    if when == "journal":
        assert file.window("b", 1)[0].all()
    add(path, "c")
    assert np.array_equal(EegWindowFile(path).window("c", 4)[0], WINDOWS[4])


def test_a_deleted_file_takes_its_unfinished_change_along(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    add(path, "a")
    subprocess.run([sys.executable, "-c", KILLED, str(path), "journal"], check=False)
    path.unlink()
    add(path, "c", 2)
    assert list(entries(path)) == ["c"]
    assert np.array_equal(EegWindowFile(path).window("c", 1)[0], WINDOWS[1])


@pytest.mark.parametrize("torn", [True, False])
def test_a_file_that_is_added_to_while_it_is_opened_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torn: bool
) -> None:
    path, opened = tmp_path / "w.h5", []
    add(path, "a")

    def beside(place: Path, dataset: str) -> RowFile:
        opened.append(dataset)
        if len(opened) == 1:
            add(path, "b", 1)
            if torn:
                raise DamagedError("half of a change")
        return RowFile(place, dataset)

    monkeypatch.setattr(eegwindows, "RowFile", beside)
    file = EegWindowFile(path)
    assert list(file.entries) == ["a", "b"]
    assert np.array_equal(file.window("b", 0)[0], WINDOWS[0])


def test_a_failure_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    add(path, "a")
    with pytest.raises(ValueError, match="2 rows instead of 5"):
        append(path, "b", WINDOWS.shape, WINDOWS[:2], None, fingerprint="", record="")
    assert list(entries(path)) == ["a"]
    with pytest.raises(DamagedError):
        append(path, "b", (1, 4, 64), [np.zeros((4, 64), np.float32)], None, fingerprint="", record="")


def test_files_of_another_kind_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with pytest.raises(FileNotFoundError):
        entries(path)
    path.write_bytes(os.urandom(100))
    with pytest.raises(DamagedError):
        entries(path)
    with h5py.File(path, "w") as file:
        file["windows"] = WINDOWS
    with pytest.raises(DamagedError):
        EegWindowFile(path)
    assert eegwindows.FILE == "windows.h5"
