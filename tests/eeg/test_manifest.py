"""The manifest: the reference's, what is left out, and when it no longer fits."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders.windows.eeg import manifest as module
from loaders.windows.eeg import scan_existing_cache, validate_manifest
from loaders.windows.eeg.manifest import Manifest
from loaders.windows.eeg.settings import SETTINGS
from recorder.errors import ReadError
from recorder.h5 import eegwindows
from tests.eeg.edfs import REFERENCE

GIVEN = REFERENCE / "cache" / "train"
EMPTY: dict[str, Any] = {"partial_seizure": [], "full_seizure": [], "no_seizure": []}
FIRST = "aaaaaaaa_s001_t000_windows.npz"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for path in GIVEN.glob("*.npz"):
        shutil.copy(path, tmp_path)
    return tmp_path


def stored(place: Path) -> Any:
    return json.loads((place / "manifest.json").read_text())


def save(place: Path, name: str, labels: Any, count: int = 1) -> None:
    np.savez_compressed(place / name, windows=np.zeros((count, 19, 15360), np.float32), **labels)


def test_the_reference_comes_of_its_windows(place: Path, capsys: Any) -> None:
    expected = json.loads((GIVEN / "manifest.json").read_text())
    found = scan_existing_cache(place)
    assert found == expected
    assert json.loads(json.dumps(found)) == expected
    assert {name: stored(place)[name] for name in EMPTY} == expected
    assert capsys.readouterr().out.splitlines() == [
        "[CACHE] tqdm disabled=False | files=5",
        "Manifest created: 4 partial, 2 full, 5 no-seizure",
        "  Seizure ratio: 54.5%",
    ]


def test_an_empty_folder_gives_empty_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("BGB_DISABLE_TQDM", "1")
    assert scan_existing_cache(tmp_path) == EMPTY
    assert capsys.readouterr().out.splitlines() == [
        "[CACHE] tqdm disabled=True | files=0",
        "Manifest created: 0 partial, 0 full, 0 no-seizure",
        "WARNING: No partial seizure windows found in 0 files!",
    ]
    with pytest.raises(FileNotFoundError):
        scan_existing_cache(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("ones", "category"),
    [(0, "no_seizure"), (1, "partial_seizure"), (15206, "partial_seizure"), (15207, "full_seizure")],
)
def test_categories_are_by_the_share_of_samples(tmp_path: Path, ones: int, category: str) -> None:
    labels = np.zeros((1, 15360), np.float32)
    labels[0, :ones] = 1
    save(tmp_path, "a_windows.npz", {"labels": labels})
    found = scan_existing_cache(tmp_path)
    assert found == {**EMPTY, category: [{"cache_file": "a_windows.npz", "window_idx": 0}]}


def test_damaged_and_unlabelled_files_are_said_and_left_out(place: Path, capsys: Any) -> None:
    (place / "cut_windows.npz").write_bytes((place / FIRST).read_bytes()[:5000])
    (place / "empty_windows.npz").write_bytes(b"")
    flipped = bytearray((place / FIRST).read_bytes())
    flipped[-300] ^= 0xFF
    (place / "flipped_windows.npz").write_bytes(flipped)
    save(place, "plain_windows.npz", {})
    found = scan_existing_cache(place)
    assert found == json.loads((GIVEN / "manifest.json").read_text())
    said = capsys.readouterr().out
    for name in ("cut", "empty", "flipped"):
        assert f"Warning: Skipping {name}_windows.npz: " in said
    assert "⚠️  NPZ file plain_windows.npz has NO LABELS! " in said
    assert validate_manifest(place, stored(place))
    shutil.copy(place / FIRST, place / "cut_windows.npz")
    assert not validate_manifest(place, stored(place))


def test_an_hdf5_file_has_the_same_manifest(tmp_path: Path) -> None:
    for path in sorted(GIVEN.glob("*.npz")):
        with np.load(path) as given:
            eegwindows.append(
                tmp_path / eegwindows.FILE,
                path.name,
                given["windows"].shape,
                given["windows"],
                given["labels"],
                fingerprint=path.name,
                record="",
            )
    assert scan_existing_cache(tmp_path) == json.loads((GIVEN / "manifest.json").read_text())
    assert validate_manifest(tmp_path, stored(tmp_path))


def test_old_manifests_are_judged_by_the_old_rules(place: Path, capsys: Any) -> None:
    old = json.loads((GIVEN / "manifest.json").read_text())
    assert validate_manifest(place, old)
    assert not validate_manifest(place, EMPTY)
    assert not validate_manifest(place, {})
    assert not validate_manifest(place, {**EMPTY, "partial_seizure": [{"cache_file": 3}]})
    # 1 of 22 windows is less than 5 %, 1 of 11 is more.
    (place / "aaaaaaae_s003_t002_windows.npz").unlink()
    assert not validate_manifest(place, old)
    assert "1 of its 11 windows" in capsys.readouterr().out
    assert validate_manifest(place, {**old, "full_seizure": old["full_seizure"] * 7})


def change_file(place: Path) -> None:
    shutil.copy(place / "aaaaaaab_s001_t000_windows.npz", place / FIRST)


def add_file(place: Path) -> None:
    shutil.copy(place / FIRST, place / "new_windows.npz")


def cut_file(place: Path) -> None:
    os.truncate(place / FIRST, 1000)


@pytest.mark.parametrize("happens", [change_file, add_file, cut_file])
def test_a_stale_manifest_is_noticed_and_said(place: Path, capsys: Any, happens: Any) -> None:
    returned = scan_existing_cache(place)
    assert validate_manifest(place, returned)
    assert validate_manifest(place, stored(place))
    happens(place)
    capsys.readouterr()
    assert not validate_manifest(place, returned)
    assert not validate_manifest(place, stored(place))
    assert "[WARNING] the manifest is not valid: " in capsys.readouterr().out


def test_times_and_places_of_files_do_not_make_it_stale(place: Path, tmp_path: Path) -> None:
    found = scan_existing_cache(place)
    os.utime(place / FIRST)
    assert validate_manifest(place, found)
    shutil.copytree(place, tmp_path / "copy")
    assert validate_manifest(tmp_path / "copy", stored(tmp_path / "copy"))


def test_other_settings_make_it_stale(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    scan_existing_cache(place)
    found = stored(place)
    found["flightrec"]["settings"] = {**SETTINGS, "stride": 1280}
    assert not validate_manifest(place, found)
    assert "stride 1280 instead of 2560" in capsys.readouterr().out
    found = stored(place)
    monkeypatch.setattr(module, "FULL_FROM", 0.95)
    assert not validate_manifest(place, found)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"no_seizure": 3}', '{"no_seizure": [[]]}'])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    with pytest.raises(ReadError):
        Manifest.read(path)


def test_a_failed_write_leaves_the_old_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan_existing_cache(place)
    before = (place / "manifest.json").read_bytes()

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        scan_existing_cache(place)
    assert (place / "manifest.json").read_bytes() == before
    assert not list(place.glob(".*.part"))
