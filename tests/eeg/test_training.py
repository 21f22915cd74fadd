"""The start of a training: flags, lines, and what is made anew."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from loaders.windows import eeg
from loaders.windows.eeg import flags, manifest
from loaders.windows.eeg.folder import WindowFolder
from recorder.errors import NoSeizuresError, NoTrainingDataError, OptionError
from tests.eeg.edfs import REFERENCE, recordings

pytest.importorskip("torch")

GIVEN = REFERENCE / "cache" / "train"
FILES = [path.name.replace("_windows.npz", ".edf") for path in sorted(GIVEN.glob("*.npz"))]
KNOWN = [
    "[DATASET] BalancedSeizureDataset: 10 windows from manifest",
    "[DATASET] Using BalancedSeizureDataset known distribution",
    "[DATASET] Seizure ratio: 50.0% (from manifest)",
    "[DATASET] Using pos_weight: 1.00 (sqrt scaling)",
]


@pytest.fixture(autouse=True)
def no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (flags.FORCE_REBUILD, flags.SMOKE_TEST, flags.LIMIT_FILES, flags.DISABLE_TQDM):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(GIVEN, tmp_path / "train")
    return tmp_path / "train"


def without_seizures(place: Path) -> None:
    for path in place.iterdir():
        if not path.name.startswith(("aaaaaaab", "aaaaaaae")):
            path.unlink()


@pytest.mark.parametrize(
    ("ratio", "weight"),
    [(0.342105, math.sqrt(2.5 / 1.3)), (0.5, 1.0), (0.9, 1.0), (0.0, 1.0), (0.2, 2.0), (1.0, 1.0)],
)
def test_the_weight_is_a_root(ratio: float, weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    assert eeg.compute_pos_weight(ratio) == pytest.approx(weight, rel=1e-5)
    monkeypatch.setenv("BGB_SMOKE_TEST", "1")
    assert eeg.compute_pos_weight(ratio) == 1.0
    assert eeg.compute_pos_weight(ratio, smoke_test=False) == pytest.approx(weight, rel=1e-5)
    with pytest.raises(OptionError):
        eeg.compute_pos_weight(1.5)


def test_flags_are_read_when_used_and_only_1_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("true", "01", " 1", "0", ""):
        monkeypatch.setenv("BGB_SMOKE_TEST", text)
        assert not flags.is_on("BGB_SMOKE_TEST")
        assert flags.file_limit() is None
    monkeypatch.setenv("BGB_LIMIT_FILES", "12")
    assert flags.file_limit() == 12
    assert [flags.validation_limit(n) for n in (1, 4, 5, 12)] == [1, 1, 1, 2]
    monkeypatch.setenv("BGB_SMOKE_TEST", "1")
    assert flags.file_limit() == 3
    monkeypatch.delenv("BGB_SMOKE_TEST")
    for wrong in ("0", "-1", "many"):
        monkeypatch.setenv("BGB_LIMIT_FILES", wrong)
        with pytest.raises(OptionError, match="BGB_LIMIT_FILES"):
            flags.file_limit()


def test_a_known_distribution_needs_no_window(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("a window was read")

    monkeypatch.setattr(WindowFolder, "window", never)
    monkeypatch.setattr(WindowFolder, "labels", never)
    dataset, ratio, weight = eeg.start_dataset(FILES, None, place)
    assert isinstance(dataset, eeg.BalancedSeizureDataset)
    assert (len(dataset), ratio, weight) == (10, 0.5, 1.0)
    assert capsys.readouterr().out.splitlines()[-4:] == KNOWN


def test_a_forced_rebuild_deletes_the_manifest(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("BGB_FORCE_MANIFEST_REBUILD", "1")
    (place / "manifest.json").write_text(json.dumps({"partial_seizure": []}))
    eeg.start_dataset(FILES, None, place)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "[DATA] BGB_FORCE_MANIFEST_REBUILD=1 → deleting manifest for rebuild"
    assert "Manifest created: 4 partial, 2 full, 5 no-seizure" in said
    assert said[-4:] == KNOWN


@pytest.mark.parametrize("content", ["{", json.dumps({"partial_seizure": []})])
def test_a_stale_manifest_is_deleted_and_made_anew(place: Path, capsys: Any, content: str) -> None:
    (place / "manifest.json").write_text(content)
    eeg.start_dataset(FILES, None, place)
    said = capsys.readouterr().out.splitlines()
    assert "[WARNING] Invalid/stale manifest detected → deleting for rebuild" in said
    assert said[-4:] == KNOWN


def test_only_recordings_that_were_given_are_trained_on(place: Path) -> None:
    given = FILES[:3]
    dataset, _, _ = eeg.start_dataset(given, None, place)
    assert isinstance(dataset, eeg.BalancedSeizureDataset)
    names = {name.replace("_windows.npz", ".edf") for name, _ in dataset.entries}
    assert names
    assert names <= set(given)
    with pytest.raises(NoTrainingDataError, match="of these 1 recordings"):
        eeg.start_dataset([FILES[1]], None, place)


def test_without_balance_all_windows_are_weighed(place: Path, capsys: Any) -> None:
    dataset, ratio, _ = eeg.start_dataset(FILES, None, place, balanced=False)
    assert isinstance(dataset, eeg.EEGWindowDataset)
    assert ratio == 6 / 11
    assert "[DATASET] Seizure ratio: 54.5% (all windows)" in capsys.readouterr().out


def test_no_seizures_end_the_program_with_1(
    place: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_seizures(place)
    files = [FILES[1], FILES[4]]
    for balanced in (True, False):
        with pytest.raises(NoTrainingDataError, match="seizure") as caught:
            eeg.start_dataset(files, None, place, balanced=balanced)
        assert isinstance(caught.value, SystemExit)
        assert caught.value.code == 1
    assert "❌ " in capsys.readouterr().out
    # A smoke test goes on, with all windows.
    monkeypatch.setenv("BGB_SMOKE_TEST", "1")
    dataset, _, weight = eeg.start_dataset(files, None, place)
    assert isinstance(dataset, eeg.EEGWindowDataset)
    assert (len(dataset), weight) == (4, 1.0)


def test_seizures_without_a_partial_one_are_no_reason_to_fall_back(place: Path) -> None:
    found = manifest.scan_existing_cache(place)
    found["partial_seizure"] = []
    (place / "manifest.json").write_text(json.dumps(found))
    with pytest.raises(NoSeizuresError, match="Full: 2"):
        eeg.start_dataset(FILES, None, place)


def test_a_training_begins_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    pytest.importorskip("mne")
    pytest.importorskip("edfio")
    recordings(tmp_path / "tusz" / "train", 4)
    for path in recordings(tmp_path / "tusz" / "dev", 2)[0]:
        for suffix in (".edf", ".csv"):
            path.with_suffix(suffix).rename(path.with_name("dev" + path.name).with_suffix(suffix))
    monkeypatch.setenv("BGB_LIMIT_FILES", "3")
    start = eeg.start_training(tmp_path / "tusz", tmp_path / "cache", workers=1)
    said = capsys.readouterr().out.splitlines()
    assert "  ✅ PATIENT DISJOINTNESS VERIFIED - No leakage!" in said
    assert "[DATASET] Seizure ratio: 33.3% (from manifest)" in said
    assert "[DATASET] Using pos_weight: 1.41 (sqrt scaling)" in said
    assert start.pos_weight == pytest.approx(math.sqrt(2))
    assert isinstance(start.train, eeg.BalancedSeizureDataset)
    assert start.val is not None
    assert (len(start.train), len(start.val)) == (3, 2)
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["train", "val"]
    # From the second time on nothing is built, and files beyond the limit are left alone.
    monkeypatch.setenv("BGB_SMOKE_TEST", "1")
    (tmp_path / "cache" / "val").rename(tmp_path / "cache" / "dev")
    again = eeg.start_training(tmp_path / "tusz", tmp_path / "cache")
    assert again.train.entries == start.train.entries
    assert again.pos_weight == 1.0
    assert "[DATA] Loaded cached index: 1 files, 2 windows" in capsys.readouterr().out
