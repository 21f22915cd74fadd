"""Loaders: workers of every kind agree with reading in one process, in every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, default_collate  # noqa: E402

from loaders.steering import (  # noqa: E402
    JASPERSteeringDataset,
    create_loader,
    set_epoch,
    validate_first_batch,
)
from recorder.errors import BatchError, OptionError  # noqa: E402
from tests.steering.making import equal, tensors, write  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = write(tmp_path_factory.mktemp("data"))
    JASPERSteeringDataset.convert_pt_to_hdf5(made)
    return made


def alone(folder: Path, split: str, epoch: int) -> list[Any]:
    with JASPERSteeringDataset(folder, split, epoch) as dataset:
        return [dataset[number] for number in range(len(dataset))]


def apart(loader: Any) -> Iterator[Any]:
    for batch in loader:
        for number in range(len(batch["steering_variant"])):
            yield {key: value[number] for key, value in batch.items()}


@pytest.mark.parametrize(
    ("method", "storage", "mapped"),
    [
        ("fork", "pt", True),
        ("fork", "hdf5", True),
        ("fork", "hdf5", False),
        ("spawn", "hdf5", True),
        ("forkserver", "pt", True),
    ],
)
def test_persistent_workers_follow_the_epoch(folder: Path, method: str, storage: str, mapped: bool) -> None:
    dataset = JASPERSteeringDataset(folder, "train", storage_format=storage, use_mmap=mapped)
    dataset[0]
    # Each that is spawned imports torch.
    workers = 2 if method == "fork" else 1
    loader = DataLoader(
        dataset, 4, num_workers=workers, persistent_workers=True, multiprocessing_context=method, timeout=60
    )
    for epoch in (0, 3, 0):
        set_epoch(loader, epoch)
        for found, expected in zip(apart(loader), alone(folder, "train", epoch), strict=True):
            equal(found, expected)


def test_a_batch_is_what_the_default_makes_of_its_items(folder: Path) -> None:
    with JASPERSteeringDataset(folder, "test") as dataset:
        items = [dataset[number] for number in range(10)]
        (batch,) = create_loader(folder, "test", 10)
        equal(batch, default_collate(items))
        equal(next(iter(DataLoader(dataset, batch_size=10))), batch)


def test_training_is_shuffled_and_leaves_the_rest_out(folder: Path) -> None:
    loader = create_loader(folder, "train", 4, epoch=2)
    assert loader.dataset_obj.current_epoch == 2
    assert loader.sampler_obj is None
    assert loader.dataset_obj is loader.dataset
    assert [len(batch["relevance"]) for batch in loader] == [4] * 7
    torch.manual_seed(3)
    first = [batch["relevance"] for batch in loader]
    torch.manual_seed(3)
    again = [batch["relevance"] for batch in loader]
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, [batch["relevance"] for batch in loader]))
    assert [len(batch["relevance"]) for batch in create_loader(folder, "val", 4)] == [4, 4, 2]
    assert [len(batch["relevance"]) for batch in create_loader(folder, "val", 4, drop_last=True)] == [4, 4]
    for found, expected in zip(apart(create_loader(folder, "val", 3)), alone(folder, "val", 0), strict=True):
        equal(found, expected)


def test_a_batch_that_is_too_large_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    loader = create_loader(folder, "train", 100)
    assert "30 samples make no batch of 100" in caplog.text
    with pytest.raises(AssertionError, match="no batch"):
        validate_first_batch(loader)


def test_parts_of_a_distributed_loader_are_disjoint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parts(epoch: int) -> list[list[int]]:
        found = []
        for rank in (0, 1):
            monkeypatch.setattr("torch.distributed.get_rank", lambda *_, rank=rank: rank)
            loader = create_loader(folder, "train", 5, distributed=True, epoch=7)
            set_epoch(loader, epoch)
            assert loader.sampler_obj.epoch == loader.dataset_obj.current_epoch == epoch
            found.append(list(loader.sampler_obj))
        return found

    monkeypatch.setattr("torch.distributed.is_available", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda *_: 2)
    one, other = parts(0)
    assert sorted(one + other) == list(range(30))
    assert parts(0) == [one, other] != parts(1)


def test_the_first_batch_is_looked_at(folder: Path) -> None:
    for split in ("train", "val"):
        assert validate_first_batch(create_loader(folder, split, 4, num_workers=1)) is True
    assert validate_first_batch(DataLoader(JASPERSteeringDataset(folder, "test"), batch_size=3)) is True


def broken(batch: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    return {**batch, key: torch.full_like(batch[key], value)}


FAULTS: list[tuple[Any, str]] = [
    (lambda b: {k: v for k, v in b.items() if k != "steering"}, "lacks steering"),
    (lambda b: {**b, "question_emb": b["question_emb"][:, :3]}, "question_emb has shape"),
    (lambda b: broken(b, "negative_embs", float("nan")), "negative_embs has NaN"),
    (lambda b: broken(b, "cluster_id", 4), "cluster_id is from 4 to 4, expected 0 to 3"),
    (lambda b: broken(b, "relevance", 2.0), "relevance is from"),
    (lambda b: broken(b, "centroid_distance", -1.0), "centroid_distance is from"),
    (lambda b: broken(b, "steering_variant", 4), "steering_variant is from"),
]


@pytest.mark.parametrize(("change", "text"), FAULTS)
def test_a_first_batch_that_is_wrong_is_refused(folder: Path, change: Any, text: str) -> None:
    dataset = JASPERSteeringDataset(folder, "val")
    loader = DataLoader(dataset, 4, collate_fn=lambda items: change(items.batch))
    with pytest.raises(BatchError, match=text):
        validate_first_batch(loader)


def test_errors_of_workers_keep_their_type(tmp_path: Path) -> None:
    values = tensors()
    values["source_embs"][:] = float("nan")
    loader = create_loader(write(tmp_path, values), "val", 4, num_workers=1, use_mmap=True)
    with pytest.raises(ValueError, match="source_embs has NaN or infinite values"):
        list(loader)


def test_an_epoch_that_cannot_be_is_refused(folder: Path) -> None:
    with pytest.raises(OptionError, match="epoch must be"):
        create_loader(folder, "train", 4, epoch=-1)
