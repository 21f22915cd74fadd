"""Windows at random: by few files and bounded memory, in threads and processes, whatever happens to files."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders.windows.eeg import folder as module
from loaders.windows.eeg.folder import WindowFolder
from recorder.errors import DamagedError
from recorder.h5 import eegwindows
from tests.eeg.edfs import REFERENCE

GIVEN = REFERENCE / "cache" / "train"
FIRST, OTHER = "aaaaaaaa_s001_t000_windows.npz", "aaaaaaab_s001_t000_windows.npz"


def expected(name: str = FIRST) -> Any:
    with np.load(GIVEN / name) as found:
        return found["windows"], found["labels"]


def read_there(folder: WindowFolder, answers: Any) -> None:
    window, labels = folder.window(FIRST, 3)
    assert labels is not None
    answers.put((float(window.sum()), float(labels.sum())))


def test_old_files_are_inflated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, decoded = WindowFolder(GIVEN), []
    real = module.Member.read_all
    monkeypatch.setattr(module.Member, "read_all", lambda self: decoded.append(self.name) or real(self))
    windows, labels = expected()
    for number in (3, 0, 4, 3):
        window, label = folder.window(FIRST, number)
        assert np.array_equal(window, windows[number])
        assert np.array_equal(label, labels[number])
        # What is given away is not what is kept.
        window[:] = 7
    assert decoded == ["windows.npy", "labels.npy"]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    one = 5 * 19 * 15360 * 4
    folder = WindowFolder(GIVEN, decoded_bytes=one)
    windows = {name: expected(name)[0] for name in (FIRST, OTHER)}
    for name in (FIRST, OTHER, FIRST):
        assert np.array_equal(folder.window(name, 2)[0], windows[name][2])
        assert folder._open.get()._held <= one
    # Files larger than that are read up to the window, and not kept.
    small = WindowFolder(GIVEN, decoded_bytes=1000)
    assert np.array_equal(small.window(FIRST, 2)[0], windows[FIRST][2])
    assert small._open.get()._held == 0
    monkeypatch.setattr(module, "_OPEN_FILES", 1)
    folder = WindowFolder(GIVEN)
    for name in (FIRST, OTHER, FIRST):
        assert np.array_equal(folder.window(name, 0)[0], windows[name][0])
        assert len(folder._open.get()._files) == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_as_well(method: Any) -> None:
    folder = WindowFolder(GIVEN)
    windows, labels = expected()
    folder.window(FIRST, 0)
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    process = context.Process(target=read_there, args=(folder, answers))
    process.start()
    assert answers.get(timeout=60) == (float(windows[3].sum()), float(labels[3].sum()))
    process.join()
    again = pickle.loads(pickle.dumps(folder))
    assert np.array_equal(again.window(FIRST, 1)[0], windows[1])


def test_threads_share_a_folder() -> None:
    folder, wrong = WindowFolder(GIVEN), []
    windows, _ = expected()

    def work() -> None:
        for number in (0, 4, 2, 1, 3) * 4:
            if not np.array_equal(folder.window(FIRST, number)[0], windows[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_replaced_and_deleted_files_are_noticed(tmp_path: Path) -> None:
    shutil.copy(GIVEN / FIRST, tmp_path / FIRST)
    folder = WindowFolder(tmp_path)
    folder.window(FIRST, 0)
    shutil.copy(GIVEN / OTHER, tmp_path / "new.npz")
    (tmp_path / "new.npz").replace(tmp_path / FIRST)
    assert np.array_equal(folder.window(FIRST, 1)[0], expected(OTHER)[0][1])
    with pytest.raises(IndexError):
        folder.window(FIRST, 4)
    (tmp_path / FIRST).unlink()
    with pytest.raises(FileNotFoundError):
        folder.window(FIRST, 0)


def test_an_hdf5_file_serves_what_no_npz_does(tmp_path: Path) -> None:
    windows, labels = expected()
    path = tmp_path / eegwindows.FILE
    eegwindows.append(path, FIRST, windows.shape, windows, labels, fingerprint="a", record="")
    eegwindows.append(path, OTHER, windows[:2].shape, windows[:2], None, fingerprint="b", record="")
    folder = WindowFolder(tmp_path)
    assert folder.names() == [FIRST, OTHER]
    window, label = folder.window(FIRST, 4)
    assert np.array_equal(window, windows[4])
    assert np.array_equal(label, labels[4])
    assert folder.window(OTHER, 1)[1] is None
    shutil.copy(GIVEN / OTHER, tmp_path / OTHER)
    assert np.array_equal(folder.window(OTHER, 2)[0], expected(OTHER)[0][2])
    path.write_bytes(b"no HDF5")
    with pytest.raises(DamagedError):
        WindowFolder(tmp_path).names()
