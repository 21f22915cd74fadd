"""A cache holds what was cut from each subject, whatever was there before, fails, or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from loaders.windows import create_hdf5_cache
from loaders.windows.normalise import scale_of
from recorder.errors import CacheMismatchError, OptionError, ReadError, StorageLockedError
from recorder.h5.windows.lock import building
from recorder.h5.windows.reading import WindowFile
from tests.windows.made import CHANNELS, STRIDE, WINDOW, expected, made, recordings, samples


def contents(path: Path) -> dict[str, Any]:
    with h5py.File(path) as file:
        names = file["subject_names"].asstr()[:]
        starts, counts = file["subject_start_indices"][:], file["subject_counts"][:]
        ids = file["subject_ids"].asstr()[:]
        found = {}
        for name, start, count in zip(names, starts, counts, strict=True):
            assert (ids[start : start + count] == name).all()
            found[str(name)] = file["windows"][start : start + count]
        assert sum(map(len, found.values())) == len(file["windows"])
        return found


def check(path: Path, names: list[str], numbers: list[int] | None = None) -> None:
    found = contents(path)
    assert list(found) == names
    for name, number in zip(names, numbers or range(len(names)), strict=True):
        np.testing.assert_array_equal(found[name], expected(samples(number, 300 + 7 * number)))


def test_every_window_of_every_subject(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in")
    report = made(tmp_path, names, sampling_rate=250.0)
    check(tmp_path / "cache.h5", names)
    assert report.added == names
    assert (report.windows, report.subjects) == (27 + 27 + 28 + 29, 4)
    with h5py.File(tmp_path / "cache.h5") as file:
        attributes = dict(file.attrs)
        assert {key: attributes[key] for key in ("window_size", "stride", "channels", "epsilon")} == {
            "window_size": WINDOW,
            "stride": STRIDE,
            "channels": CHANNELS,
            "epsilon": 1e-8,
        }
        assert attributes["normalisation"] == "window"
        assert (attributes["dtype"], attributes["compression"]) == ("float32", "none")
        assert attributes["sampling_rate"] == 250.0
        assert str(tmp_path / "in") in attributes["sources"]
        assert "sub-03.npz" in file["subject_sources"].asstr()[3]


def test_whole_recordings_are_normalised_in_two_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    data = samples(0) * 1e3
    data[2] = 0.1  # a constant whose squares do not sum to 0
    np.savez(tmp_path / "in" / "a.npz", data=data)
    monkeypatch.setattr("loaders.windows.filling.BLOCK_BYTES", 8 * CHANNELS * 64)
    made(tmp_path, ["a"], normalisation="recording")
    deviation = data.std(axis=1, ddof=1, keepdims=True)
    deviation[2] = 1.0
    whole = (data - data.mean(axis=1, keepdims=True)) / deviation
    whole[2] = 0.0
    windows = np.array([whole[:, a : a + WINDOW] for a in range(0, 300 - WINDOW + 1, STRIDE)])
    np.testing.assert_allclose(contents(tmp_path / "cache.h5")["a"], windows, rtol=1e-6, atol=1e-6)
    assert not contents(tmp_path / "cache.h5")["a"][:, 2].any()


def test_a_constant_that_does_not_sum_exactly_becomes_zero(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    data = samples(0)
    data[1], data[3], data[4, :60] = 0.1, -70.3, 0.7
    np.savez(tmp_path / "in" / "a.npz", data=data)
    for dtype in ("float16", "float32"):
        report = made(tmp_path, ["a"], dtype=dtype, hdf5_path=tmp_path / f"{dtype}.h5", window_size=50)
        assert not report.failed
        found = contents(tmp_path / f"{dtype}.h5")["a"]
        assert not found[:, [1, 3]].any()
        assert not found[:2, 4].any()
        assert found[2:, 4].any(axis=1).all()


def test_moments_of_blocks_are_those_of_the_whole() -> None:
    data = samples(3, 1000) + 1e6
    mean, deviation = scale_of(data[:, a : a + 137] for a in range(0, 1000, 137))
    np.testing.assert_allclose(mean, data.mean(1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(deviation, data.std(1, ddof=1, keepdims=True), rtol=1e-9)


@pytest.mark.parametrize("block", [1, 8 * CHANNELS * 95, 1 << 20])
def test_blocks_of_any_size_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("loaders.windows.filling.BLOCK_BYTES", block)
    names = recordings(tmp_path / "in", 2)
    made(tmp_path, names)
    check(tmp_path / "cache.h5", names)


def test_a_stride_beyond_the_window_and_a_recording_of_one_window(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, length in (("long", 100), ("one", 8), ("short", 7)):
        np.save(tmp_path / "in" / f"{name}.npy", samples(1, length))
    report = made(tmp_path, ["short", "long", "one"], window_size=8, stride=30)
    found = contents(tmp_path / "cache.h5")
    np.testing.assert_array_equal(found["long"], expected(samples(1, 100), 8, 30))
    np.testing.assert_array_equal(found["one"], expected(samples(1, 8), 8, 30))
    assert report.too_short == ["short"]


def test_a_subject_that_fails_shifts_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = recordings(tmp_path / "in", 5)
    bad = samples(1, 307)
    bad[3, 200] = np.nan
    np.savez(tmp_path / "in" / "sub-01.npz", data=bad)
    np.savez(tmp_path / "in" / "sub-02.npz", data=samples(2, 314, channels=4))
    whole = (tmp_path / "in" / "sub-03.npz").read_bytes()
    at = whole.index(b"\n", 80) + 500
    (tmp_path / "in" / "sub-03.npz").write_bytes(whole[:at] + bytes(8) + whole[at + 8 :])
    report = made(tmp_path, names, verbose=True)
    check(tmp_path / "cache.h5", ["sub-00", "sub-04"], [0, 4])
    assert sorted(report.failed) == ["sub-01", "sub-02", "sub-03"]
    assert "channel 3 has nan" in str(report.failed["sub-01"])
    assert "4 channels, and the cache 5" in str(report.failed["sub-02"])
    assert "damaged" in str(report.failed["sub-03"])
    out = capsys.readouterr().out
    assert "✗ Error processing sub-01: channel 3 has nan" in out
    assert "✗ Error with sub-02: " in out
    # Mended, they are added.
    for number in (1, 2, 3):
        np.savez(tmp_path / "in" / f"sub-{number:02d}.npz", data=samples(number, 300 + 7 * number))
    report = made(tmp_path, names[:4])
    assert report.added == ["sub-01", "sub-02", "sub-03"]
    check(tmp_path / "cache.h5", ["sub-00", "sub-04", "sub-01", "sub-02", "sub-03"], [0, 4, 1, 2, 3])


def test_what_fails_in_the_first_of_two_passes_shifts_nobody(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 3)
    np.savez(tmp_path / "in" / "sub-00.npz", data=np.full((CHANNELS, 300), np.inf))
    np.savez(tmp_path / "in" / "sub-01.npz", data=np.full((CHANNELS, 300), np.nan))
    report = made(tmp_path, names, normalisation="recording")
    assert report.added == list(contents(tmp_path / "cache.h5")) == names[2:]
    assert list(report.failed) == names[:2]


def test_new_subjects_are_added_and_readers_are_left_alone(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in")
    made(tmp_path, names[:2])
    reader = WindowFile(tmp_path / "cache.h5")
    before = reader.read(range(reader.shape[0]))
    inode = (tmp_path / "cache.h5").stat().st_ino
    os.utime(tmp_path / "in", (1, 1))
    (tmp_path / "in" / "sub-01.npz").unlink()  # its windows stay
    report = made(tmp_path, names)
    assert (report.kept, report.added) == (names[:2], names[2:])
    assert (tmp_path / "cache.h5").stat().st_ino == inode
    check(tmp_path / "cache.h5", names)
    np.testing.assert_array_equal(reader.read(range(reader.shape[0])), before)
    reader.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache.h5", "in"]


def test_other_settings_and_changed_sources_are_refused(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in")
    made(tmp_path, names[:2])
    stored = (tmp_path / "cache.h5").read_bytes()
    for options in ({"stride": 20}, {"dtype": "float16"}, {"normalisation": "none"}, {"compression": "gzip"}):
        with pytest.raises(CacheMismatchError, match=next(iter(options))):
            made(tmp_path, names, **options)
    np.savez(tmp_path / "in" / "sub-01.npz", data=samples(9))
    with pytest.raises(CacheMismatchError, match="'sub-01' has changed"):
        made(tmp_path, names)
    assert (tmp_path / "cache.h5").read_bytes() == stored
    made(tmp_path, names, overwrite=True)
    np.testing.assert_array_equal(contents(tmp_path / "cache.h5")["sub-01"], expected(samples(9)))


def test_bad_parameters_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 1)
    for wrong in (
        {"window_size": 0},
        {"stride": 1.5},
        {"stride": True},
        {"dtype": "int16"},
        {"normalisation": "minmax"},
        {"compression": "zap"},
        {"compression": 4},
        {"sampling_rate": 0},
        {"epsilon": -1},
        {"hdf5_path": tmp_path / "nowhere" / "cache.h5"},
    ):
        with pytest.raises(OptionError):
            made(tmp_path, names, **wrong)
    for subjects in ([], "sub-00", ["sub-00", "sub-00"], [3], [""], ["\ud800"]):
        with pytest.raises(OptionError):
            made(tmp_path, subjects)
    with pytest.raises(OptionError, match="no suffix"):
        made(tmp_path, {"a": tmp_path / "in"})
    with pytest.raises(ReadError, match="shorter than a window"):
        made(tmp_path, names, window_size=400)
    with pytest.raises(ReadError, match="sub-77: no data"):
        made(tmp_path, ["sub-77"])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_values_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, factor in (("fine", 1.0), ("large", 1e5), ("small", 1e-9)):
        np.savez(tmp_path / "in" / f"{name}.npz", data=samples(0) * factor)
    names = ["fine", "large", "small"]
    report = made(tmp_path, names, dtype="float16", normalisation="none")
    assert report.added == ["fine"]
    assert "float16 ends at" in str(report.failed["large"])
    assert "loses its precision" in str(report.failed["small"])
    report = made(tmp_path, names, dtype="float32", normalisation="none", overwrite=True)
    assert report.added == names


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "i2"])
def test_npz_files_of_any_kind(tmp_path: Path, save: Any, order: Any, dtype: str) -> None:
    data = np.asarray(samples(1) * 10).astype(dtype, order=order)
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "a.npz", data=data, sfreq=500.0)
    made(tmp_path, ["a"])
    np.testing.assert_array_equal(contents(tmp_path / "cache.h5")["a"], expected(data.astype(np.float64)))
    with h5py.File(tmp_path / "cache.h5") as file:
        assert file.attrs["sampling_rate"] == 500.0


def test_arrays_that_are_no_recordings_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    np.savez(folder / "flat.npz", data=np.zeros(9))
    np.savez(folder / "complex.npz", data=np.zeros((2, 9), complex))
    np.savez(folder / "objects.npz", data=np.array([[{}]], object))
    np.savez(folder / "other.npz", values=np.zeros((2, 9)))
    (folder / "text.npz").write_text("nothing")
    with zipfile.ZipFile(folder / "strange.npz", "w") as archive:
        archive.writestr("data.npy", b"\x93NUMPY\x09\x00strange")
    np.savez(folder / "ok.npz", data=samples(1))
    report = made(
        tmp_path, ["flat", "complex", "objects", "other", "text", "strange", "ok"], window_size=5, stride=5
    )
    assert report.added == ["ok"]
    words = ("shape", "complex", "object", "no array 'data'", "no .npz", "arrays of version")
    for (name, error), word in zip(report.failed.items(), words, strict=True):
        assert word in str(error), name


def test_two_builds_of_one_cache_take_no_turns(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 1)
    with building(tmp_path / "cache.h5"), pytest.raises(StorageLockedError, match="another process"):
        made(tmp_path, names)
    made(tmp_path, names)


BUILD = r"""
import os, sys, time
from pathlib import Path
import loaders.windows.filling as filling
from tests.windows.made import made
folder, slow = Path(sys.argv[1]), sys.argv[2]
cut = filling.Filler._made
def stopped(self, opened, first, last):
    if slow in str(getattr(opened.samples, "_path", "")) and first:
        os.write(1, b"there\n")
        time.sleep(60)
    return cut(self, opened, first, last)
filling.Filler._made = stopped
filling.BLOCK_BYTES = 8 * 5 * 60
made(folder, sys.argv[3:])
"""


def killed(folder: Path, slow: str, names: list[str]) -> None:
    """A process that is killed in the middle of a subject."""
    command = [sys.executable, "-c", BUILD, str(folder), slow, *names]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_killed_build_goes_on_after_the_last_whole_subject(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = recordings(tmp_path / "in", 4)
    killed(tmp_path, "sub-02", names)
    assert not (tmp_path / "cache.h5").exists()
    report = made(tmp_path, names, verbose=True)
    assert "2 subjects are done" in capsys.readouterr().out
    assert (report.kept, report.added) == (names[:2], names[2:])
    check(tmp_path / "cache.h5", names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache.h5", "in"]


def test_what_a_killed_build_left_is_thrown_away_where_settings_or_sources_differ(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 3)
    killed(tmp_path, "sub-01", names)
    np.savez(tmp_path / "in" / "sub-00.npz", data=samples(0, 301))
    report = made(tmp_path, names)
    assert report.added == names
    np.testing.assert_array_equal(contents(tmp_path / "cache.h5")["sub-00"], expected(samples(0, 301)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache.h5", "in"]


def test_an_addition_that_is_killed_leaves_the_cache_whole(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 4)
    made(tmp_path, names[:2])
    killed(tmp_path, "sub-03", names)
    reader = WindowFile(tmp_path / "cache.h5")
    assert reader.names == names[:3]
    reader.close()
    assert made(tmp_path, names).added == names[3:]
    check(tmp_path / "cache.h5", names)


ADD = r"""
import os, signal, sys
from pathlib import Path
from tests.windows.made import made
folder, pwrite = Path(sys.argv[1]), os.pwrite
def stopped(*arguments):
    if (folder / "cache.h5.journal").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return pwrite(*arguments)
os.pwrite = stopped
made(folder, sys.argv[2:])
"""


@pytest.mark.parametrize("removed", [False, True])
def test_an_addition_that_was_killed_does_not_reach_a_new_cache(tmp_path: Path, removed: bool) -> None:
    names = recordings(tmp_path / "in", 5)
    made(tmp_path, names[:1])
    command = [sys.executable, "-c", ADD, str(tmp_path), *names[:2]]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert (tmp_path / "cache.h5.journal").exists()
    if removed:
        (tmp_path / "cache.h5").unlink()
    made(tmp_path, names[2:], overwrite=True)
    reader = WindowFile(tmp_path / "cache.h5")
    assert reader.names == names[2:]
    reader.close()
    check(tmp_path / "cache.h5", names[2:], [2, 3, 4])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache.h5", "in"]


def test_a_file_that_is_no_cache_is_left_alone(tmp_path: Path) -> None:
    names = recordings(tmp_path / "in", 1)
    (tmp_path / "cache.h5").write_text("my notes")
    with pytest.raises(ReadError, match="no HDF5 file"):
        made(tmp_path, names)
    assert (tmp_path / "cache.h5").read_text() == "my notes"


def test_the_signature_is_the_documented_one() -> None:
    import inspect

    parameters = inspect.signature(create_hdf5_cache).parameters
    assert list(parameters)[:7] == [
        "subject_ids",
        "window_size",
        "stride",
        "subject_cache_dir",
        "hdf5_path",
        "base_path",
        "compression",
    ]
    defaults = {name: parameters[name].default for name in list(parameters)[1:5]}
    assert defaults == {
        "window_size": 2000,
        "stride": 500,
        "subject_cache_dir": "meg_cache",
        "hdf5_path": "meg_windows.hdf5",
    }
