"""Patients and the official splits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from loaders import (
    BalancedSeizureDataset,
    EEGWindowDataset,
    extract_patient_id,
    load_tusz_for_training,
    validate_patient_disjointness,
)
from loaders.windows.eeg.splits import set_aside, split_folder
from recorder.errors import (
    MissingAnnotationError,
    MissingExtraError,
    OptionError,
    PatientLeakageError,
    ReadError,
)


def place(root: Path, split: str, *names: str) -> None:
    for name in names:
        path = root / split / "folder" / f"{name}.edf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.with_suffix(".csv").touch()


def test_patients_are_the_beginning_of_the_name() -> None:
    assert extract_patient_id("/a_b/aaaaaaaa_s001_t000.edf") == "aaaaaaaa"
    assert extract_patient_id(Path("plain.edf")) == "plain"


def test_a_patient_in_two_splits_is_an_error() -> None:
    validate_patient_disjointness(["a_1.edf", "a_2.edf"], ["b_1.edf"], ["c_1.edf"])
    with pytest.raises(PatientLeakageError) as caught:
        validate_patient_disjointness(["b_1.edf", "a_2.edf", "c_3.edf"], ["b_2.edf", "c_1.edf"])
    assert str(caught.value) == "PATIENT LEAKAGE DETECTED! 2 patients in both train and dev: b, c"
    assert isinstance(caught.value, ValueError)
    with pytest.raises(PatientLeakageError, match="both dev and eval"):
        validate_patient_disjointness(["a_2.edf"], ["b_2.edf"], ["b_9.edf"])


def test_the_official_splits_are_found(tmp_path: Path, capsys: Any) -> None:
    place(tmp_path / "edf", "train", "a_1", "a_2", "c_1")
    place(tmp_path / "edf", "dev", "b_1")
    found = load_tusz_for_training(tmp_path)
    assert list(found) == ["train", "dev"]
    assert [path.name for path in found["train"][0]] == ["a_1.edf", "a_2.edf", "c_1.edf"]
    assert [path.name for path in found["dev"][1]] == ["b_1.csv"]
    assert capsys.readouterr().out.splitlines() == [
        "[SPLIT STATS] OFFICIAL TUSZ SPLITS:",
        "  train: 3 files, 2 patients",
        "  dev: 1 files, 1 patients",
        "  ✅ PATIENT DISJOINTNESS VERIFIED - No leakage!",
    ]
    load_tusz_for_training(tmp_path / "edf", verbose=False)
    assert capsys.readouterr().out == ""
    with pytest.raises(ReadError, match="eval"):
        load_tusz_for_training(tmp_path, use_eval=True)
    place(tmp_path / "edf", "eval", "c_7")
    with pytest.raises(PatientLeakageError):
        load_tusz_for_training(tmp_path, use_eval=True)
    found["train"][1][0].unlink()
    with pytest.raises(MissingAnnotationError, match=r"1 of 3"):
        load_tusz_for_training(tmp_path)
    load_tusz_for_training(tmp_path, allow_missing_labels=True)


def test_a_split_has_its_folder_where_there_are_several(tmp_path: Path) -> None:
    place(tmp_path, "train", "a_1")
    assert split_folder(tmp_path, "train") == tmp_path
    place(tmp_path, "dev", "b_1")
    assert split_folder(tmp_path, "train") == tmp_path / "train"
    assert split_folder(tmp_path, "val") == split_folder(tmp_path, "dev") == tmp_path / "dev"
    assert split_folder(tmp_path / "train", "train") == tmp_path / "train"


def test_patients_that_are_set_aside_stay_together() -> None:
    files = [Path(f"{patient}_{k}.edf") for patient in "abcde" for k in range(4)]
    train, dev = set_aside(files, 0.25)
    assert [path.name[0] for path in dev] == list("aaaabbbb")
    assert sorted(train + dev) == files
    assert set_aside(files, 0.0) == (files, [])
    with pytest.raises(OptionError):
        set_aside(files, 1.0)


def test_without_torch_datasets_say_which_extra_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for make in (lambda: EEGWindowDataset([]), lambda: BalancedSeizureDataset(tmp_path)):
        with pytest.raises(MissingExtraError, match=r"flightrec\[torch\]"):
            make()
