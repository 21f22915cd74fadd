"""The datasets: pairs of window and labels, the balanced choice, and DataLoaders with workers."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders.windows import eeg
from loaders.windows.eeg import one
from recorder.errors import (
    CacheBuildError,
    CacheMissingError,
    DamagedError,
    MissingAnnotationError,
    NoSeizuresError,
    OptionError,
)
from tests.eeg.edfs import REFERENCE, recordings

torch = pytest.importorskip("torch")
BalancedSeizureDataset, EEGWindowDataset = eeg.BalancedSeizureDataset, eeg.EEGWindowDataset
compute_pos_weight = eeg.compute_pos_weight

GIVEN = REFERENCE / "cache" / "train"
EXPECTED = json.loads((REFERENCE / "expected.json").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(GIVEN, tmp_path / "cache")
    return tmp_path / "cache"


def test_the_older_cache_is_loaded_without_its_recordings(place: Path, capsys: Any) -> None:
    files = json.loads((place / "_dataset_index.json").read_text())["files"]
    dataset = EEGWindowDataset(files, cache_dir=place)
    assert capsys.readouterr().out.splitlines() == [
        "[DATA] Loaded cached index: 5 files, 11 windows",
        "[DATA] Dataset ready! Total windows: 11",
    ]
    assert len(dataset) == 11
    assert dataset.window_counts == [5, 3, 2, 0, 1]
    at = 0
    for name, said in EXPECTED["files"].items():
        shape, kind = said["windows"]
        with np.load(place / name) as given:
            assert list(given["windows"].shape) == shape
            for number in range(shape[0]):
                window, labels = dataset[at]
                assert window.dtype == labels.dtype == torch.float32
                assert kind == "float32"
                assert np.array_equal(window.numpy(), given["windows"][number])
                assert np.array_equal(labels.numpy(), given["labels"][number])
                assert round(float(labels.mean()), 6) == said["label_mean"][number]
                at += 1
    assert torch.equal(dataset[-1][0], dataset[10][0])
    for wrong in (11, -12):
        with pytest.raises(IndexError):
            dataset[wrong]


def test_the_balanced_choice_is_the_reference(place: Path, capsys: Any) -> None:
    expected = EXPECTED["balanced"]
    dataset = BalancedSeizureDataset(place, seed=expected["seed"])
    assert capsys.readouterr().out.splitlines()[0] == "[BalancedSeizureDataset] Created with 10 windows:"
    assert len(dataset) == expected["length"]
    assert [list(entry) for entry in dataset.entries] == expected["entries"]
    assert dataset.seizure_ratio == expected["seizure_ratio"]
    assert compute_pos_weight(dataset.seizure_ratio) == expected["pos_weight"]
    for number, (name, window) in enumerate(expected["entries"]):
        with np.load(place / name) as given:
            assert np.array_equal(dataset[number][0].numpy(), given["windows"][window])
            assert np.array_equal(dataset[number][1].numpy(), given["labels"][window])
    assert dataset[0][0].shape == (19, 15360)
    with pytest.raises(IndexError):
        dataset[10]


def test_missing_files_are_skipped_after_the_draw(place: Path, capsys: Any) -> None:
    manifest = json.loads((place / "manifest.json").read_text())
    manifest["no_seizure"] += manifest["no_seizure"][:4] * 8
    (place / "manifest.json").write_text(json.dumps(manifest))
    whole = BalancedSeizureDataset(place).entries
    (place / "aaaaaaae_s003_t002_windows.npz").unlink()
    capsys.readouterr()
    some = BalancedSeizureDataset(place)
    assert some.entries == [e for e in whole if e[0] != "aaaaaaae_s003_t002_windows.npz"]
    gone = len(whole) - len(some)
    assert gone == 0 or f"[WARNING] Skipped {gone} manifest entries" in capsys.readouterr().out
    assert some.seizure_ratio == 5 / len(some)


def test_the_choice_has_the_documented_shares(tmp_path: Path) -> None:
    """1.3 seizures to 2.5 without: 34.2 %, and a weight of 1.39."""
    names = {"partial_seizure": 100, "full_seizure": 60, "no_seizure": 900}
    labels = np.zeros((1, 15360), np.float32)
    np.savez_compressed(
        tmp_path / "a_windows.npz", windows=np.zeros((1, 19, 15360), np.float32), labels=labels
    )
    manifest = {
        name: [{"cache_file": "a_windows.npz", "window_idx": k} for k in range(count)]
        for name, count in names.items()
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    dataset = BalancedSeizureDataset(tmp_path)
    assert len(dataset) == 100 + 30 + 250
    assert f"{100 * dataset.seizure_ratio:.1f}" == "34.2"
    assert f"{compute_pos_weight(dataset.seizure_ratio):.2f}" == "1.39"
    assert dataset.entries == BalancedSeizureDataset(tmp_path).entries
    assert dataset.entries != BalancedSeizureDataset(tmp_path, seed=43).entries
    assert len(BalancedSeizureDataset(tmp_path, full_ratio=0, background_ratio=0)) == 100
    with pytest.raises(DamagedError, match="does not fit"):
        dataset[0], dataset[1]
    with pytest.raises(OptionError):
        BalancedSeizureDataset(tmp_path, full_ratio=-1)


def test_without_partial_windows_there_is_no_choice(tmp_path: Path) -> None:
    with pytest.raises(NoSeizuresError, match=r"^No partial seizure windows found in manifest! Full: 0, No-"):
        BalancedSeizureDataset(tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError):
        BalancedSeizureDataset(tmp_path, ensure_manifest=False)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        BalancedSeizureDataset(tmp_path, ensure_manifest=False)


def test_a_stale_manifest_is_made_anew_where_it_may_be(place: Path, capsys: Any) -> None:
    (place / "manifest.json").unlink()
    BalancedSeizureDataset(place)
    (place / "aaaaaaac_s002_t001_windows.npz").unlink()
    shutil.copy(place / "aaaaaaaa_s001_t000_windows.npz", place / "aaaaaaaf_s001_t000_windows.npz")
    assert any(name.startswith("aaaaaaaf") for name, _ in BalancedSeizureDataset(place).entries)
    assert "the manifest is not valid" in capsys.readouterr().out


def test_workers_and_pickles_give_what_one_process_gives(place: Path) -> None:
    dataset = BalancedSeizureDataset(place)
    alone = torch.stack([dataset[k][0] for k in range(len(dataset))])
    for workers in (0, 2):
        loaded = torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=workers)
        assert torch.equal(torch.cat([batch[0] for batch in loaded]), alone)
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(torch.stack([again[k][0] for k in range(len(again))]), alone)
    assert again.entries == dataset.entries


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    pytest.importorskip("mne")
    pytest.importorskip("edfio")
    return recordings(tmp_path_factory.mktemp("edf"), 3)


@pytest.mark.parametrize("stored", ["npz", "hdf5"])
def test_the_same_windows_from_every_form(source: Any, tmp_path: Path, stored: str) -> None:
    plain = EEGWindowDataset(*source)
    cached = EEGWindowDataset(*source, tmp_path, stored=stored, workers=1)
    assert plain.window_counts == cached.window_counts == [2, 2, 2]
    for k in range(6):
        for a, b in zip(plain[k], cached[k], strict=True):
            assert torch.equal(a, b)
    assert [float(cached[k][1].mean()) for k in (2, 4)] == [0.0, 1.0]
    chosen = BalancedSeizureDataset(tmp_path)
    assert chosen.seizure_ratio == 1 / 3
    loaded = torch.utils.data.DataLoader(cached, batch_size=3, num_workers=2)
    assert torch.equal(torch.cat([b[0] for b in loaded]), torch.stack([cached[k][0] for k in range(6)]))


def test_without_labels_there_are_zeros(source: Any, tmp_path: Path) -> None:
    dataset = EEGWindowDataset(source[0], cache_dir=tmp_path, transform=lambda w: -w, workers=1)
    with np.load(tmp_path / "pat0_s001_t000_windows.npz") as given:
        assert given.files == ["windows"]
        assert np.array_equal(dataset[0][0].numpy(), -given["windows"][0])
    assert not dataset[0][1].any()
    # With annotations they are made anew, and stay for who does not name them.
    assert EEGWindowDataset(*source, tmp_path, workers=1)[5][1].all()
    assert EEGWindowDataset(source[0], cache_dir=tmp_path, workers=1)[5][1].all()


def test_windows_that_have_gone_are_made_again_or_missed(source: Any, tmp_path: Path) -> None:
    dataset = EEGWindowDataset(*source, tmp_path, workers=1)
    strict = EEGWindowDataset(*source, tmp_path, None, False)
    before = dataset[0][0]
    path = tmp_path / "pat0_s001_t000_windows.npz"
    path.unlink()
    with pytest.raises(CacheMissingError, match=r"^Cache missing for .*pat0.*on-demand disabled") as caught:
        strict[0]
    assert isinstance(caught.value, RuntimeError)
    assert torch.equal(dataset[0][0], before)
    assert path.exists()
    path.write_bytes(b"")
    with pytest.raises(DamagedError):
        dataset[0]


@pytest.mark.parametrize("stored", ["npz", "hdf5"])
def test_labels_are_not_lost_where_nobody_names_their_files(
    source: Any, tmp_path: Path, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    EEGWindowDataset(*source, tmp_path, stored=stored, workers=1)
    dataset = EEGWindowDataset(source[0], cache_dir=tmp_path, workers=1)
    if stored == "npz":
        path = tmp_path / "pat0_s001_t000_windows.npz"
        kept = path.rename(tmp_path / "kept")
        with pytest.raises(MissingAnnotationError, match="label_files"):
            dataset[0]
        with pytest.raises(MissingAnnotationError, match="label_files"):
            EEGWindowDataset(source[0], cache_dir=tmp_path, workers=1)
        kept.rename(path)
    with monkeypatch.context() as context:
        context.setitem(one.SETTINGS, "clip", 9.0)
        with pytest.raises(MissingAnnotationError, match="label_files"):
            EEGWindowDataset(source[0], cache_dir=tmp_path, workers=1)
    assert EEGWindowDataset(source[0], cache_dir=tmp_path, workers=1)[5][1].all()


def test_recordings_that_cannot_be_used(source: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad_s.edf"
    bad.write_bytes(source[0][0].read_bytes()[:9000])
    with pytest.raises(CacheBuildError, match="bad_s"):
        EEGWindowDataset([bad], cache_dir=tmp_path / "c", workers=1)
    with pytest.raises(DamagedError):
        EEGWindowDataset([bad])
    left = EEGWindowDataset([bad, source[0][0]], cache_dir=tmp_path / "c", allow_damaged=True, workers=1)
    assert left.window_counts == [0, 2]
    with pytest.raises(MissingAnnotationError):
        EEGWindowDataset(source[0][:1], [tmp_path / "no.csv"], tmp_path / "d")
    with pytest.raises(OptionError, match="on demand"):
        EEGWindowDataset(source[0], allow_on_demand=False)
