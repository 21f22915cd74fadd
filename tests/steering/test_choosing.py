"""Which files are read: the newest that are whole. What is missing is said in the document's words."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import pytest

torch = pytest.importorskip("torch")

from loaders.steering import JASPERSteeringDataset  # noqa: E402
from recorder.errors import EmptySplitError, MissingFileError, ReadError  # noqa: E402
from tests.steering.making import REFERENCE, config, tensors, write  # noqa: E402


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write(tmp_path)
    JASPERSteeringDataset.convert_pt_to_hdf5(made)
    return made


def aged(path: Path, seconds: float) -> None:
    """Make a file so much older, or younger."""
    changed = path.stat().st_mtime + seconds
    os.utime(path, (changed, changed))


def chosen(folder: Path) -> str:
    with JASPERSteeringDataset(folder, "train") as dataset:
        return str(dataset.storage_format)


def test_the_newest_is_read_and_the_log_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert chosen(folder) == "hdf5"
        assert "Using storage format: hdf5" in caplog.messages
        assert "Chosen because: dataset.h5 is newest and whole" in caplog.messages
        aged(folder / "negative_tiers.pt", 60)
        assert chosen(folder) == "pt"
        assert "Chosen because: the .pt files are newest and whole" in caplog.messages
        aged(folder / "dataset.h5", 120)
        assert chosen(folder) == "hdf5"


def test_opening_is_logged_as_by_the_original(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), JASPERSteeringDataset(folder, "val") as dataset:
        dataset.set_epoch(5)
        dataset.force_steering("centroid")
    assert [line for line in caplog.messages if not line.startswith("Chosen")][:-1] == [
        "Using storage format: hdf5",
        f"Loading val split from {folder}",
        "Split size: 10",
        "Loaded embeddings: 15 questions, 20 sources, 9 keywords, 4 centroids",
        "Dataset initialized: 10 samples, embedding_dim=8, n_neg=3, device=cpu, memory=0.0 MB",
        "Set epoch 5, steering probs: zero=0.25, centroid=0.25, keyword=0.25, residual=0.25",
        "Forced steering variant: centroid",
    ]
    assert caplog.messages[-1].startswith("Dataset closed. ")


def test_what_is_not_whole_is_not_chosen(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = (folder / "dataset.h5").read_bytes()
    for broken in (whole[: len(whole) // 2], b"", b"no HDF5"):
        (folder / "dataset.h5").write_bytes(broken)
        aged(folder / "dataset.h5", 60)
        assert chosen(folder) == "pt"
    with h5py.File(folder / "dataset.h5", "w") as file:
        file["embeddings/questions"] = tensors()["question_embs"].numpy()
    assert chosen(folder) == "pt"
    assert any("dataset.h5 lacks" in line and "splits" not in line for line in caplog.messages)
    (folder / "dataset.h5").write_bytes(whole)
    for name in ("steering_residual.pt", "pair_keyword_ids.pt", "train_idx.pt"):
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[:-30])
        aged(path, 120)
        assert chosen(folder) == "hdf5"
        assert f"{name} is cut short" in caplog.text
        path.unlink()
        assert chosen(folder) == "hdf5"
        path.write_bytes(content)


def test_a_format_that_was_asked_for_is_taken(folder: Path) -> None:
    aged(folder / "dataset.h5", -1000)
    with JASPERSteeringDataset(folder, "train", storage_format="hdf5") as dataset:
        assert dataset.storage_format == "hdf5"
    with JASPERSteeringDataset(folder, "train", storage_format="pt") as dataset:
        assert dataset.storage_format == "pt"


def refused(error: type[Exception], text: str, *arguments: Any, **keywords: Any) -> None:
    with pytest.raises(error, match=text):
        JASPERSteeringDataset(*arguments, **keywords)


def test_what_is_missing_is_said_in_the_documented_order(tmp_path: Path) -> None:
    place = tmp_path / "data"
    refused(ValueError, f"^Dataset directory not found: {place}", place, "train", storage_format="x")
    place.mkdir()
    refused(ValueError, f"^Config file not found: {place}/config.json", place, "dev", storage_format="x")
    write(place, {})
    refused(ValueError, "^Invalid storage_format: 'x'", place, "dev", storage_format="x")
    refused(
        ValueError, r"No dataset files found in .* Expected either dataset.h5 or \*.pt files", place, "dev"
    )
    refused(ValueError, f"^PT files not found in {place}", place, "dev", storage_format="pt")
    refused(ValueError, f"^HDF5 file not found: {place}/dataset.h5", place, "dev", storage_format="hdf5")
    write(place)
    text = r"^Split file not found: .*dev_idx.pt. Valid splits are: train, val, test$"
    refused(ValueError, text, place, "dev")
    (place / "val_idx.pt").unlink()
    refused(ValueError, "^Split file not found: .*val_idx.pt", place, "val")
    JASPERSteeringDataset.convert_pt_to_hdf5(place)
    refused(ValueError, "^Split file not found: .*val_idx.pt", place, "val", storage_format="hdf5")
    (place / "pair_relevance.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"^Required tensor file not found: .*pair_relevance.pt"):
        JASPERSteeringDataset(place, "train", storage_format="pt")
    torch.save(torch.zeros(0, dtype=torch.int64), place / "val_idx.pt")
    torch.save(tensors()["pair_relevance"], place / "pair_relevance.pt")
    with pytest.raises(RuntimeError, match=r"val split of .* is empty"):
        JASPERSteeringDataset(place, "val", storage_format="pt")
    assert issubclass(EmptySplitError, ReadError)
    assert issubclass(MissingFileError, ReadError)


CONFIGS: list[tuple[dict[str, Any], str]] = [
    ({"embedding_dim": 0}, "embedding_dim must be an integer from 1 on, got 0"),
    ({"embedding_dim": "8"}, "embedding_dim must be an integer"),
    ({"n_neg": None}, "n_neg must be an integer"),
    ({"steering_probabilities": {"zero": 1.0}}, "must have zero, centroid, keyword, residual"),
    ({"steering_probabilities": [1]}, "must have zero"),
    ({"curriculum": 3}, "curriculum must be an object"),
    ({"curriculum": {"epochs_total": 0}}, "epochs_total must be a number above 0"),
    ({"curriculum": {"zero_prob_end": 2}}, "zero_prob_end must be a number from 0 to 1"),
]


@pytest.mark.parametrize(("change", "text"), CONFIGS)
def test_a_configuration_that_cannot_be_is_refused(tmp_path: Path, change: Any, text: str) -> None:
    folder = write(tmp_path, given=config() | change)
    refused(ValueError, text, folder, "train")


def test_probabilities_that_do_not_sum_to_one_are_refused(tmp_path: Path) -> None:
    shares = {"zero": 0.5, "centroid": 0.5, "keyword": 0.5, "residual": 0.0}
    refused(
        ValueError,
        "they sum to 1.5",
        write(tmp_path, given=config() | {"steering_probabilities": shares}),
        "train",
    )
    (tmp_path / "config.json").write_text("{")
    refused(ValueError, "is no JSON", tmp_path, "train")
    (tmp_path / "config.json").write_bytes(b"\xff")
    refused(ReadError, "is no JSON", tmp_path, "train")
    (tmp_path / "config.json").write_text("[]")
    refused(ValueError, "expected an object, got list", tmp_path, "train")


def test_a_curriculum_shares_what_is_left(tmp_path: Path) -> None:
    given = config(curriculum={"mode": "linear", "warmup_epochs": 3})
    given["steering_probabilities"] = {"zero": 0.4, "centroid": 0.3, "keyword": 0.2, "residual": 0.1}
    with JASPERSteeringDataset(write(tmp_path, given=given), "train", epoch=50) as dataset:
        assert dataset.steering_probs == pytest.approx(
            {"zero": 0.3, "centroid": 0.35, "keyword": 0.7 / 3, "residual": 0.35 / 3}
        )
        dataset.set_epoch(1000)
        assert dataset.steering_probs["zero"] == pytest.approx(0.1)
    given["steering_probabilities"] = {"zero": 1.0, "centroid": 0, "keyword": 0, "residual": 0}
    with JASPERSteeringDataset(write(tmp_path, given=given), "train") as dataset:
        assert dataset.steering_probs == {"zero": 0.5, "centroid": 0.5, "keyword": 0.0, "residual": 0.0}


def test_negatives_are_reloaded_from_what_is_newest(folder: Path) -> None:
    fresh = (tensors()["hard_negatives"] + 1) % 20
    for storage in ("hdf5", "pt"):
        for mapped in (False, True):
            with JASPERSteeringDataset(folder, "train", storage_format=storage, use_mmap=mapped) as dataset:
                before = dataset[0]
                dataset.reload_negatives()
                assert torch.equal(dataset[0]["negative_embs"], before["negative_embs"])
                old = (folder / "hard_negatives.pt").read_bytes()
                torch.save(fresh, folder / "hard_negatives.pt")
                aged(folder / "hard_negatives.pt", 60)
                dataset.reload_negatives()
                assert torch.equal(dataset.hard_negatives[:], fresh)
                assert not torch.equal(dataset[0]["negative_embs"], before["negative_embs"])
                torch.save(fresh + 100, folder / "hard_negatives.pt")
                aged(folder / "hard_negatives.pt", 60)
                with pytest.raises(ReadError, match="hard_negatives references source"):
                    dataset.reload_negatives()
                assert torch.equal(dataset.hard_negatives[:], fresh)
                (folder / "hard_negatives.pt").write_bytes(old)
                aged(folder / "hard_negatives.pt", -60)


def test_negatives_are_not_reloaded_from_what_is_not_whole(folder: Path) -> None:
    whole = (folder / "dataset.h5").read_bytes()
    (folder / "dataset.h5").write_bytes(whole[: len(whole) // 2])
    fresh = (tensors()["hard_negatives"] + 1) % 20
    with JASPERSteeringDataset(folder, "train") as dataset:
        assert dataset.storage_format == "pt"
        torch.save(fresh, folder / "hard_negatives.pt")
        aged(folder / "dataset.h5", 60)
        dataset.reload_negatives()
        assert torch.equal(dataset.hard_negatives, fresh)


def test_new_negatives_serve_a_dataset_without_other_pt_files(folder: Path) -> None:
    fresh = (tensors()["hard_negatives"] + 1) % 20
    for path in folder.glob("*.pt"):
        path.unlink()
    with JASPERSteeringDataset(folder, "train") as dataset:
        dataset.reload_negatives()
        for stem, value in (("hard_negatives", fresh), ("negative_tiers", tensors()["negative_tiers"])):
            torch.save(value, folder / f"{stem}.pt")
            aged(folder / f"{stem}.pt", 60)
        dataset.reload_negatives()
        assert torch.equal(dataset.hard_negatives, fresh)


def test_older_files_are_read_with_what_they_lack(tmp_path: Path) -> None:
    shutil.copytree(REFERENCE / "dataset", tmp_path / "old")
    for path in (tmp_path / "old").glob("*.pt"):
        path.unlink()
    with JASPERSteeringDataset(tmp_path / "old", "train") as dataset:
        assert len(dataset) == 18
        assert len(dataset.pair_keyword_ids) == 30
