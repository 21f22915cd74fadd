"""NPZ files of windows: plain ones for NumPy, read singly by us, in every form that there is."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders.windows.eeg import npzwrite
from loaders.windows.eeg.npzread import NpzFile
from loaders.windows.eeg.npzwrite import NpzWriter
from recorder.errors import DamagedError

RNG = np.random.default_rng(3)
WINDOWS = RNG.normal(size=(4, 19, 15360)).astype(np.float32)
WINDOWS[1] = 0
LABELS = (RNG.random((4, 15360)) < 0.5).astype(np.float32)


def write(path: Path, count: int = 4, *, labels: bool = True, comment: str = '{"flightrec": 1}') -> Path:
    with NpzWriter(path, comment) as npz:
        npz.write("windows", (count, 19, 15360), np.dtype("<f4"), iter(WINDOWS[:count]))
        if labels:
            npz.write("labels", (count, 15360), np.dtype("<f4"), iter(LABELS[:count]))
    return path


def check(path: Path, count: int = 4) -> None:
    npz = NpzFile(path)
    assert npz.count == count
    assert npz.labels is not None
    for number in reversed(range(count)):
        window = npz.windows.read(number)
        assert window.flags.writeable
        assert np.array_equal(window, WINDOWS[number])
        assert np.array_equal(npz.labels.read(number), LABELS[number])
    assert np.array_equal(npz.windows.read_all(), WINDOWS[:count])
    assert all(np.array_equal(a, b) for a, b in zip(npz.labels.rows(), LABELS[:count], strict=True))
    with pytest.raises(IndexError):
        npz.windows.read(count)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_ours_are_plain_npz_files(tmp_path: Path, count: int) -> None:
    path = write(tmp_path / "a.npz", count, comment='{"flightrec": 1}')
    with np.load(path) as found:
        assert found.files == ["windows", "labels"]
        assert np.array_equal(found["windows"], WINDOWS[:count])
        assert np.array_equal(found["labels"], LABELS[:count])
        assert found["windows"].dtype == np.float32
    assert zipfile.ZipFile(path).testzip() is None
    check(path, count)
    assert NpzFile(path).record == {"flightrec": 1}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_those_of_numpy_are_read(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "a.npz"
    save(path, windows=WINDOWS, labels=LABELS)
    assert NpzFile(path).windows.direct == (save is np.savez)
    assert NpzFile(path).record is None
    check(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_single_window_in_the_order_of_fortran_is_the_one_that_was_saved(tmp_path: Path, save: Any) -> None:
    path = tmp_path / "a.npz"
    save(path, windows=np.asfortranarray(WINDOWS[:1]), labels=LABELS[:1])
    assert np.asfortranarray(WINDOWS[:1]).flags.f_contiguous
    check(path, 1)
    npz = NpzFile(path)
    assert np.array_equal(next(npz.windows.rows()), WINDOWS[0])
    save(path, windows=np.asfortranarray(WINDOWS), labels=LABELS)
    with pytest.raises(DamagedError):
        NpzFile(path)


def test_many_windows_share_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npzwrite, "MOST_BLOCKS", 3)
    check(write(tmp_path / "a.npz"))


def test_beyond_4_gb_the_directory_has_wide_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.npz")
    # As if the file were so long: the end of the directory takes its wide form.
    with monkeypatch.context() as context:
        context.setattr(npzwrite, "WIDE_FROM", 0)
        wide = write(tmp_path / "b.npz")
    assert wide.stat().st_size > path.stat().st_size
    check(wide)
    assert zipfile.ZipFile(wide).testzip() is None
    code = f"import zipfile; print(zipfile.ZipFile({str(wide)!r}).namelist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "windows.npy" in done.stdout


def test_fingerprints_are_of_contents(tmp_path: Path) -> None:
    one, same = write(tmp_path / "a.npz"), write(tmp_path / "b.npz")
    other = write(tmp_path / "c.npz", 3)
    prints = [NpzFile(path).fingerprint for path in (one, same, other)]
    assert prints[0] == prints[1] != prints[2]
    settings = write(tmp_path / "d.npz", comment=json.dumps({"flightrec": 1, "settings": {"stride": 1}}))
    assert NpzFile(settings).fingerprint != prints[0]


def test_every_flipped_byte_of_a_window_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz")
    data = bytearray(path.read_bytes())
    for at in RNG.integers(300, 3 * 1_170_000, 12).tolist():
        damaged = bytearray(data)
        damaged[at] ^= 0x40
        (tmp_path / "b.npz").write_bytes(damaged)
        found, wrong = NpzFile(tmp_path / "b.npz"), 0
        for number in range(4):
            try:
                assert np.array_equal(found.windows.read(number), WINDOWS[number])
            except DamagedError:
                wrong += 1
        assert wrong == 1


@pytest.mark.parametrize("keep", [0, 1, 20, 5_000, 0.5, 0.99, -1])
@pytest.mark.parametrize("save", ["ours", "numpy"])
def test_a_cut_file_is_damaged(tmp_path: Path, keep: float, save: str) -> None:
    path = tmp_path / "a.npz"
    if save == "ours":
        write(path)
    else:
        np.savez_compressed(path, windows=WINDOWS, labels=LABELS)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else int(keep)])
    with pytest.raises(DamagedError, match=r"a\.npz"):
        NpzFile(path)


def test_arrays_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for windows, labels in (
        (WINDOWS.astype(np.float64), LABELS),
        (WINDOWS[:, :18], LABELS),
        (WINDOWS[:, :, :100], LABELS),
        (WINDOWS, LABELS[:3]),
        (WINDOWS, LABELS[:, :100]),
        (np.array([{}], object), LABELS),
    ):
        np.savez(path, windows=windows, labels=labels)
        with pytest.raises(DamagedError):
            NpzFile(path)
    np.savez(path, labels=LABELS)
    with pytest.raises(DamagedError, match="windows"):
        NpzFile(path)


def test_a_claim_of_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    form: Any = np.lib.format
    described = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 19, 15360)}
    form.write_array_header_1_0(header, described)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("windows.npy", header.getvalue())
    with pytest.raises(DamagedError):
        NpzFile(path).windows.read_all()


def test_a_killed_writer_leaves_nothing_that_opens(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(ValueError, match="2 rows instead of 4"), NpzWriter(path, "{}") as npz:
        npz.write("windows", (4, 19, 15360), np.dtype("<f4"), iter(WINDOWS[:2]))
    with pytest.raises(DamagedError):
        NpzFile(path)
