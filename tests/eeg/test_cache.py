"""The cache: built by processes, whole or not at all, kept where it fits, made anew where it does not."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest

from loaders.windows.eeg import cache, one
from loaders.windows.eeg.cache import check_cache_completeness, complete, make_jobs
from loaders.windows.eeg.folder import WindowFolder
from loaders.windows.eeg.manifest import CATEGORIES, scan_existing_cache
from loaders.windows.eeg.npzread import NpzFile
from loaders.windows.eeg.paths import INDEX, cache_file_path
from recorder.errors import CacheBuildError, DamagedError, MissingAnnotationError, OptionError
from recorder.h5 import eegwindows
from tests.eeg.edfs import REFERENCE, recordings, reference_edfs, write_csv, write_edf

pytest.importorskip("mne")
pytest.importorskip("edfio")

FORMATS = ("npz", "hdf5")
Files = tuple[list[Path], list[Path]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return recordings(tmp_path_factory.mktemp("edf"), 3)


@pytest.fixture
def files(source: Files, tmp_path: Path) -> Files:
    """Copies that a test may change."""
    for path in (*source[0], *source[1]):
        shutil.copy2(path, tmp_path / path.name)
    return [tmp_path / p.name for p in source[0]], [tmp_path / p.name for p in source[1]]


def build(files: Files, place: Path, **options: Any) -> tuple[WindowFolder, list[int]]:
    allowed = options.pop("allow_missing_labels", False)
    return complete(
        make_jobs(*files, place, allow_missing_labels=allowed), place, **{"workers": 1, **options}
    )


def contents(folder: WindowFolder) -> dict[str, Any]:
    return {
        name: [folder.window(name, k) for k in range(folder.count(name))]
        for name in folder.names()
        if name.endswith(".npz")
    }


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, windows in one.items():
        for (a, b), (c, d) in zip(windows, other[name], strict=True):
            assert np.array_equal(a, c)
            assert np.array_equal(b, d)


@pytest.mark.parametrize(("stored", "workers"), [("npz", 1), ("npz", 2), ("hdf5", 2)])
def test_the_reference_is_rebuilt_to_the_bit(tmp_path: Path, stored: str, workers: int) -> None:
    edfs = reference_edfs(tmp_path)
    given = REFERENCE / "cache" / "train"
    csvs = [path.with_suffix(".csv") for path in edfs]
    place = tmp_path / "cache"
    folder, counts = build((edfs, csvs), place, stored=stored, workers=workers, allow_missing_labels=True)
    assert counts == [5, 3, 2, 0, 1]
    assert_same(contents(folder), contents(WindowFolder(given)))
    index = json.loads((place / INDEX).read_text())
    assert index["files"] == [str(path) for path in edfs]
    assert index["window_counts"] == counts
    assert (place / eegwindows.FILE).exists() == (stored == "hdf5")
    assert bool(list(place.glob("*.npz"))) == (stored == "npz")
    assert not [p.name for p in place.rglob("*") if p.name.endswith(".part") or p.name == ".parts"]


def test_a_missing_annotation_file_is_an_error_before_anything_is_built(files: Files, tmp_path: Path) -> None:
    files[1][2].unlink()
    place = tmp_path / "cache"
    with pytest.raises(MissingAnnotationError, match=r"pat2_s001_t000\.csv") as caught:
        build(files, place)
    assert isinstance(caught.value, FileNotFoundError)
    assert not list(place.glob("*.npz"))
    folder, _ = build(files, place, allow_missing_labels=True)
    assert not any(labels.any() for labels in folder.labels("pat2_s001_t000_windows.npz"))
    # What was allowed once is asked for again, and labels that have come are taken.
    with pytest.raises(MissingAnnotationError):
        build(files, place)
    write_csv(files[1][2], (0.0, 70.0))
    folder, _ = build(files, place)
    assert all(labels.all() for labels in folder.labels("pat2_s001_t000_windows.npz"))


@pytest.mark.parametrize("stored", FORMATS)
def test_what_fits_is_kept(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, stored: str
) -> None:
    place = tmp_path / "cache"
    build(files, place, stored=stored)
    made: list[str] = []

    def counted(job: one.Job) -> int:
        made.append(job.edf.name)
        return one.build(job)

    monkeypatch.setattr(cache, "build", counted)
    capsys.readouterr()
    build(files, place)
    assert capsys.readouterr().out == "[DATA] Loaded cached index: 3 files, 6 windows\n"
    # Touched, or copied to elsewhere: the contents count.
    os.utime(files[0][0])
    build(files, place)
    assert made == []
    write_csv(files[1][0], (1.0, 2.0))
    write_edf(files[0][1], 70, seed=9)
    build(files, place)
    assert made == ["pat0_s001_t000.edf", "pat1_s001_t000.edf"]
    said = capsys.readouterr().out
    assert "pat0_s001_t000.csv has changed" in said
    assert "pat1_s001_t000.edf has changed" in said


def test_contents_that_changed_under_the_old_times_are_noticed(files: Files, tmp_path: Path) -> None:
    place, csv = tmp_path / "cache", files[1][0]
    build(files, place)
    state = csv.stat()
    csv.write_text(csv.read_text().replace("65.0000", "61.0000"))
    os.utime(csv, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert csv.stat().st_size == state.st_size
    folder, _ = build(files, place)
    first = next(iter(folder.labels("pat0_s001_t000_windows.npz")))
    assert not first.any()
    second = list(folder.labels("pat0_s001_t000_windows.npz"))[1]
    assert second[51 * 256 : 58 * 256].all()


@pytest.mark.parametrize("stored", FORMATS)
def test_other_settings_make_a_cache_stale(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, stored: str
) -> None:
    place = tmp_path / "cache"
    build(files, place, stored=stored)
    monkeypatch.setitem(one.SETTINGS, "clip", 9.0)
    assert len(check_cache_completeness(files[0], place).stale) == 3
    folder, _ = build(files, place)
    assert "clip 10.0 instead of 9.0" in capsys.readouterr().out
    record = folder.look("pat0_s001_t000_windows.npz").record
    assert record is not None
    assert record["settings"]["clip"] == 9.0
    assert check_cache_completeness(files[0], place).stale == []


def test_damaged_deleted_and_replaced_files_are_noticed(files: Files, tmp_path: Path, capsys: Any) -> None:
    place = tmp_path / "cache"
    before = contents(build(files, place)[0])
    targets = [cache_file_path(place, path) for path in files[0]]
    targets[0].unlink()
    targets[1].write_bytes(targets[1].read_bytes()[:-100])
    shutil.copy(targets[2], tmp_path / "elsewhere.npz")
    status = check_cache_completeness(files[0], place)
    assert (status.total_files, status.cached_files, status.missing_files) == (3, 2, 1)
    assert (status.missing, status.stale) == ([files[0][0]], [files[0][1]])
    assert_same(contents(build(files, place)[0]), before)
    said = capsys.readouterr().out
    assert "[WARNING] stale index: pat0_s001_t000_windows.npz is missing" in said
    assert "pat1_s001_t000_windows.npz is built again" in said
    # One that says nothing of its origin, with other windows.
    shutil.copy(REFERENCE / "cache" / "train" / "aaaaaaaa_s001_t000_windows.npz", targets[2])
    assert build(files, place)[1] == [2, 2, 5]
    assert "[WARNING] stale index: pat2_s001_t000_windows.npz has changed" in capsys.readouterr().out


def test_caches_of_the_older_program_are_kept(tmp_path: Path, capsys: Any) -> None:
    place = tmp_path / "cache"
    shutil.copytree(REFERENCE / "cache" / "train", place)
    names = json.loads((place / INDEX).read_text())["files"]
    _, counts = build((names, [Path(n).with_suffix(".csv") for n in names]), place)
    assert counts == [5, 3, 2, 0, 1]
    assert capsys.readouterr().out == "[DATA] Loaded cached index: 5 files, 11 windows\n"
    (place / INDEX).write_text("{")
    assert build((names, [Path(n).with_suffix(".csv") for n in names]), place)[1] == counts
    assert "is made anew" in capsys.readouterr().out


def test_a_file_that_was_rebuilt_beside_an_index_of_the_older_program_is_counted(
    tmp_path: Path, capsys: Any
) -> None:
    place = tmp_path / "cache"
    shutil.copytree(REFERENCE / "cache" / "train", place)
    names = json.loads((place / INDEX).read_text())["files"]
    shutil.copy(place / "aaaaaaab_s001_t000_windows.npz", place / "aaaaaaaa_s001_t000_windows.npz")
    for _ in range(2):
        assert build((names, None), place)[1] == [3, 3, 2, 0, 1]
    assert "aaaaaaaa_s001_t000_windows.npz has not 5 windows any more" in capsys.readouterr().out
    assert json.loads((place / INDEX).read_text())["window_counts"] == [3, 3, 2, 0, 1]


@pytest.mark.parametrize(("stored", "workers"), [("npz", 1), ("npz", 2), ("hdf5", 2)])
def test_one_bad_recording_does_not_keep_the_others(
    files: Files, tmp_path: Path, capsys: Any, stored: str, workers: int
) -> None:
    place = tmp_path / "cache"
    files[0][1].write_bytes(files[0][1].read_bytes()[:20_000])
    with pytest.raises(CacheBuildError, match=r"1 of 3 .*pat1_s001_t000.edf") as caught:
        build(files, place, stored=stored, workers=workers)
    assert isinstance(caught.value.__cause__, DamagedError)
    assert [Path(path).name for path, _ in caught.value.failures] == ["pat1_s001_t000.edf"]
    folder, counts = build(files, place, stored=stored, workers=workers, allow_damaged=True)
    assert counts == [2, 0, 2]
    assert [n for n in folder.names() if "pat" in n] == [
        "pat0_s001_t000_windows.npz",
        "pat2_s001_t000_windows.npz",
    ]
    assert "[WARNING] not built: " in capsys.readouterr().out


@pytest.mark.parametrize("stored", FORMATS)
def test_windows_of_a_recording_that_is_damaged_now_are_left_out(
    files: Files, tmp_path: Path, stored: str
) -> None:
    place, name = tmp_path / "cache", "pat0_s001_t000_windows.npz"
    build(files, place, stored=stored)
    sound = files[0][0].read_bytes()
    files[0][0].write_bytes(sound[:-1000])
    for _ in range(2):
        assert build(files, place, allow_damaged=True)[1] == [0, 2, 2]
        found = scan_existing_cache(place)
        assert name not in {entry["cache_file"] for kind in CATEGORIES for entry in found[kind]}
        status = check_cache_completeness(files[0], place)
        assert status.missing + status.stale == [files[0][0]]
    files[0][0].write_bytes(sound)
    assert build(files, place)[1] == [2, 2, 2]


def test_recordings_of_one_name_are_refused(files: Files, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="two recordings"):
        make_jobs([files[0][0], Path("elsewhere") / files[0][0].name], None, tmp_path)
    with pytest.raises(OptionError, match="1 annotation files for 3"):
        make_jobs(files[0], files[1][:1], tmp_path)
    with pytest.raises(OptionError, match="zip"):
        build(files, tmp_path / "cache", stored="zip")


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


KILLED = """
import sys, time
from pathlib import Path
from loaders.windows.eeg import cache
from loaders.windows.eeg.cache import complete, make_jobs
place, stored, *edfs = sys.argv[1:]
complete(make_jobs(edfs, [e[:-4] + ".csv" for e in edfs], place), Path(place), stored=stored, workers=2)
"""


@pytest.mark.parametrize("stored", FORMATS)
def test_a_killed_build_goes_on(files: Files, tmp_path: Path, stored: str) -> None:
    place = tmp_path / "cache"
    more = [write_edf(tmp_path / f"more{k}_s.edf", 80, seed=k) for k in range(2)]
    csvs = [write_csv(path.with_suffix(".csv")) for path in more]
    arguments = [str(place), stored, *map(str, [*files[0], *more])]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], start_new_session=True)
    found: list[Path] = []
    while len(found) < 1 and process.poll() is None:
        time.sleep(0.002)
        found = [p for p in place.glob("**/*_windows.npz") if not p.name.startswith(".")]
    workers = []
    # It may have come to its end by itself.
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        workers = psutil.Process(process.pid).children()
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while any(alive(worker) for worker in workers):
        time.sleep(0.002)
    for path in place.glob("*_windows.npz"):
        assert NpzFile(path).count
    everything = (files[0] + more, files[1] + csvs)
    folder, counts = build(everything, place, stored=stored)
    assert counts == [2] * 3 + [3] * 2
    assert_same(contents(folder), contents(build(everything, tmp_path / "other", workers=2)[0]))
    left = [p.name for p in place.rglob("*") if p.name.endswith(".part") or p.name == ".parts"]
    assert left == []


def test_children_end_with_a_killed_parent(tmp_path: Path) -> None:
    code = """
import sys, time, os
from pathlib import Path
from loaders.windows.eeg import pool
from loaders.windows.eeg.one import Job
def slow(job):
    job.target.write_text(str(os.getpid()))
    time.sleep(60)
    return 0
list(pool.run([Job(Path(n), None, Path(sys.argv[1]) / n) for n in "abcd"], slow, 2))
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    while len([p for p in tmp_path.iterdir() if p.stat().st_size]) < 2:
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    process.kill()
    process.wait()
    for worker in workers:
        while alive(worker):
            time.sleep(0.01)


def test_a_process_that_dies_is_said(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one, "prepare", lambda _: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(CacheBuildError, match="died"):
        build(files, tmp_path / "cache", workers=2)


def test_a_full_disk_ends_the_build(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def full(job: one.Job) -> int:
        tried.append(job)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "build", full)
    with pytest.raises(CacheBuildError, match="No space left"):
        build(files, tmp_path / "cache")
    assert len(tried) == 1


def test_npz_files_move_into_an_hdf5_file_without_their_recordings(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    shutil.copytree(REFERENCE / "cache" / "train", place)
    names = json.loads((place / INDEX).read_text())["files"]
    folder, counts = build((names, [Path(n).with_suffix(".csv") for n in names]), place, stored="hdf5")
    assert counts == [5, 3, 2, 0, 1]
    assert not list(place.glob("*.npz"))
    assert_same(contents(folder), contents(WindowFolder(REFERENCE / "cache" / "train")))
    assert build((names, None), place)[1] == counts


def test_who_waited_for_another_to_move_the_npz_files_finds_them_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, alone = tmp_path / "cache", eegwindows.alone
    shutil.copytree(REFERENCE / "cache" / "train", place)
    names = json.loads((place / INDEX).read_text())["files"]

    @contextlib.contextmanager
    def second(path: Path) -> Iterator[None]:
        with alone(path):
            for npz in sorted(place.glob("*.npz")):
                cache._take(npz, path)
            yield

    monkeypatch.setattr(eegwindows, "alone", second)
    assert build((names, None), place, stored="hdf5")[1] == [5, 3, 2, 0, 1]
    with h5py.File(place / eegwindows.FILE) as file:
        assert len(file["windows"]) == 11
