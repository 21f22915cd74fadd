"""One contract for all ways to keep a dataset: formats, compressions, in memory and mapped."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from loaders.steering import JASPERSteeringDataset  # noqa: E402
from loaders.steering.rows import StoredRows  # noqa: E402
from recorder.errors import ClosedError, DamagedError, NoItemError, OptionError, ReadError  # noqa: E402
from recorder.format.embeddings import FIELDS  # noqa: E402
from tests.steering.making import config, equal, tensors, write  # noqa: E402

STORAGES = ("pt", "gzip", "lzf", "none")
MODES = [(storage, mapped) for storage in STORAGES for mapped in (False, True)]
GIVEN = tensors()
CURRICULUM = {"zero_prob_start": 0.5, "zero_prob_end": 0.1, "epochs_total": 100}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for storage in STORAGES:
        made[storage] = folder = tmp_path_factory.mktemp(storage)
        write(folder, GIVEN, config(curriculum=CURRICULUM))
        if storage != "pt":
            JASPERSteeringDataset.convert_pt_to_hdf5(folder, None if storage == "none" else storage)
            for path in folder.glob("*.pt"):
                path.unlink()
    return made


@pytest.fixture(params=MODES, ids=lambda mode: f"{mode[0]}-{'mapped' if mode[1] else 'memory'}")
def dataset(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Any:
    storage, mapped = request.param
    with JASPERSteeringDataset(folders[storage], "train", use_mmap=mapped) as opened:
        assert opened.storage_format == ("pt" if storage == "pt" else "hdf5")
        assert opened.use_mmap is mapped
        yield opened


def item(number: int, variant: int) -> dict[str, Any]:
    """A sample, from what was given."""
    pair = int(GIVEN["train_idx"][number])
    question, source = GIVEN["pair_index"][pair].tolist()
    kinds = ("steering_centroid", "steering_keyword_weighted", "steering_residual")
    return {
        "question_emb": GIVEN["question_embs"][question],
        "target_source_emb": GIVEN["source_embs"][source],
        "steering": GIVEN[kinds[variant - 1]][pair] if variant else torch.zeros(8),
        "negative_embs": GIVEN["source_embs"][GIVEN["hard_negatives"][pair]],
        "cluster_id": GIVEN["pair_cluster_id"][pair],
        "relevance": GIVEN["pair_relevance"][pair],
        "centroid_distance": GIVEN["centroid_distances"][pair],
        "steering_variant": torch.tensor(variant),
        "negative_tiers": GIVEN["negative_tiers"][pair],
    }


def test_items_are_what_was_given(dataset: Any) -> None:
    seen = set()
    for number in range(len(dataset)):
        found = dataset[number]
        variant = int(found["steering_variant"])
        seen.add(variant)
        equal(found, item(number, variant))
    assert seen == {0, 1, 2, 3}


def test_items_do_not_depend_on_the_order_of_reading(dataset: Any) -> None:
    forth = [dataset[number] for number in range(len(dataset))]
    for number in reversed(range(len(dataset))):
        equal(dataset[number], forth[number])
    batch = dataset.__getitems__([7, 3, 7])
    assert len(batch) == 3
    for found, number in zip(batch, (7, 3, 7), strict=True):
        equal(found, forth[number])
    assert len(dataset.__getitems__([])) == 0


def test_items_are_copies(dataset: Any) -> None:
    before = {key: value.clone() for key, value in dataset[0].items()}
    for value in dataset[0].values():
        value.zero_()
    equal(dataset[0], before)


def test_epochs_draw_anew_and_come_again(dataset: Any) -> None:
    def variants() -> list[int]:
        return [int(dataset[number]["steering_variant"]) for number in range(len(dataset))]

    first = variants()
    dataset.set_epoch(5)
    assert dataset.current_epoch == 5
    assert dataset.steering_probs["zero"] == 0.48
    assert variants() != first
    dataset.set_epoch(0)
    assert variants() == first


def test_steering_can_be_forced(dataset: Any) -> None:
    free = [int(dataset[number]["steering_variant"]) for number in range(10)]
    for code, kind in enumerate(("zero", "centroid", "keyword", "residual")):
        dataset.force_steering(kind)
        equal(dataset[4], item(4, code))
    dataset.force_steering(None)
    assert [int(dataset[number]["steering_variant"]) for number in range(10)] == free
    with pytest.raises(OptionError, match="one of"):
        dataset.force_steering("none")


def test_tensors_have_the_names_of_their_files(dataset: Any) -> None:
    for stem in FIELDS:
        found = getattr(dataset, stem)
        assert found.dtype == GIVEN[stem].dtype
        assert found.shape == GIVEN[stem].shape
        assert found.device == torch.device("cpu")
        assert len(found) == len(GIVEN[stem])
        assert torch.equal(found[:], GIVEN[stem])
        assert torch.equal(found[torch.tensor([2, 0])], GIVEN[stem][[2, 0]])
        assert torch.equal(found[-1], GIVEN[stem][-1])
    assert dataset.pair_keyword_ids == GIVEN["pair_keyword_ids"]
    assert torch.equal(dataset.split_indices, GIVEN["train_idx"])
    assert (dataset.embedding_dim, dataset.n_neg, dataset.split) == (8, 3, "train")
    assert dataset.config == config(curriculum=CURRICULUM)


def test_numbers_that_there_are_not_are_refused(dataset: Any) -> None:
    for wrong in (-1, len(dataset)):
        with pytest.raises(NoItemError, match=rf"^Index {wrong} out of range \[0, {len(dataset)}\)$"):
            dataset[wrong]
    with pytest.raises(TypeError):
        dataset[0:2]
    with pytest.raises(TypeError, match="integers, got float64"):
        dataset.__getitems__([0.5])
    for wrong_epoch in (-1, 1.5, True):
        with pytest.raises(OptionError, match="epoch"):
            dataset.set_epoch(wrong_epoch)
    assert sum(1 for _ in dataset) == len(dataset)


def test_pickles_and_copies_give_the_same_items(dataset: Any) -> None:
    dataset.set_epoch(3)
    for other in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset)):
        assert other.current_epoch == 3
        for number in range(len(dataset)):
            equal(other[number], dataset[number])
        other.set_epoch(4)
        other.close()
    assert dataset.current_epoch == 3
    assert len(dataset[0]) == 9


def test_a_closed_dataset_says_so(dataset: Any) -> None:
    dataset.close()
    dataset.close()
    calls = [
        lambda: len(dataset),
        lambda: dataset[0],
        lambda: dataset.question_embs,
        lambda: dataset.split_indices,
        lambda: dataset.steering_probs,
        lambda: dataset.set_epoch(1),
        lambda: dataset.force_steering("zero"),
        dataset.reload_negatives,
    ]
    for call in calls:
        with pytest.raises(ClosedError, match="closed"):
            call()
    with pytest.raises(ClosedError):
        len(pickle.loads(pickle.dumps(dataset)))


def test_everything_is_on_the_device_that_was_asked_for(folders: dict[str, Path]) -> None:
    # A device without data: what computes with a tensor of another one fails.
    meta = torch.device("meta")
    for storage, mapped in MODES:
        with JASPERSteeringDataset(folders[storage], "val", device=meta, use_mmap=mapped) as dataset:
            dataset.force_steering("zero")
            assert {value.device for value in dataset[0].values()} == {meta}
            assert dataset.device == meta
            assert mapped or {getattr(dataset, stem).device for stem in FIELDS} == {meta}


def test_a_gpu_has_the_same_items(folders: dict[str, Path]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU at hand; the same code runs on the CPU above")
    with (
        JASPERSteeringDataset(folders["gzip"], "train", device=torch.device("cuda")) as there,
        JASPERSteeringDataset(folders["gzip"], "train") as here,
    ):
        for number in range(len(here)):
            assert {value.device.type for value in there[number].values()} == {"cuda"}
            equal({key: value.cpu() for key, value in there[number].items()}, here[number])


def test_mapped_tensors_are_mapped_and_compressed_ones_read_by_rows(folders: dict[str, Path]) -> None:
    maps = Path("/proc/self/maps")
    for storage, name in (("pt", "source_embs.pt"), ("none", "dataset.h5")):
        with JASPERSteeringDataset(folders[storage], "train", use_mmap=True):
            assert f"{folders[storage]}/{name}" in maps.read_text()
    with JASPERSteeringDataset(folders["gzip"], "train", use_mmap=True) as dataset:
        assert isinstance(dataset.source_embs, StoredRows)
        assert "StoredRows((20, 8)" in repr(dataset.source_embs)


def test_splits_share_their_tensors(folders: dict[str, Path]) -> None:
    for storage, mapped in MODES:
        splits = JASPERSteeringDataset.create_combined_splits(folders[storage], epoch=2, use_mmap=mapped)
        assert {name: len(one) for name, one in splits.items()} == {"train": 30, "val": 10, "test": 10}
        assert splits["train"].question_embs is splits["test"].question_embs
        alone = JASPERSteeringDataset(folders[storage], "val", 2, use_mmap=mapped)
        equal(splits["val"][3], alone[3])
        splits["train"].close()
        equal(splits["val"][4], alone[4])
        assert splits["test"].current_epoch == 2


def test_what_is_not_a_number_never_reaches_a_batch(tmp_path: Path) -> None:
    values = tensors()
    values["source_embs"][5, 2] = float("nan")
    folder = write(tmp_path, values)
    with pytest.raises(DamagedError, match=r"source_embs.pt has NaN"):
        JASPERSteeringDataset(folder, "train")
    dataset = JASPERSteeringDataset(folder, "train", use_mmap=True)
    with pytest.raises(DamagedError, match="source_embs has NaN or infinite values in row 5"):
        dataset.__getitems__(range(len(dataset)))


def test_a_mapped_file_that_was_replaced_is_noticed_elsewhere(tmp_path: Path) -> None:
    folder = write(tmp_path / "data")
    for compression in ("gzip", None):
        JASPERSteeringDataset.convert_pt_to_hdf5(folder, compression)
        with JASPERSteeringDataset(folder, "train", storage_format="hdf5", use_mmap=True) as dataset:
            there, before = pickle.dumps(dataset), dataset[0]
            JASPERSteeringDataset.convert_pt_to_hdf5(folder, "lzf")
            # Here the old one is still open.
            equal(dataset[0], before)
            with pytest.raises(ReadError, match="another file"):
                pickle.loads(there)


def test_floats_keep_their_precision(tmp_path: Path) -> None:
    values = tensors()
    for stem, field in FIELDS.items():
        if field.kind == "f":
            values[stem] = values[stem].half()
        elif stem != "pair_index":
            values[stem] = values[stem].int()
    folder = write(tmp_path, values)
    JASPERSteeringDataset.convert_pt_to_hdf5(folder)
    for storage in ("pt", "hdf5"):
        for mapped in (False, True):
            with JASPERSteeringDataset(folder, "train", storage_format=storage, use_mmap=mapped) as dataset:
                found = dataset[0]
            assert found["steering"].dtype == found["negative_embs"].dtype == torch.float16
            assert found["negative_tiers"].dtype == torch.int32
            assert found["steering_variant"].dtype == torch.int64


def test_large_datasets_are_mapped_by_default(tmp_path: Path) -> None:
    pairs = (10 << 30) // (8 * 4 * 15)
    for more, mapped in ((0, False), (1, True)):
        folder = write(tmp_path, given=config(n_pairs=pairs + more))
        assert JASPERSteeringDataset(folder, "train").use_mmap is mapped
    meta = torch.device("meta")
    assert JASPERSteeringDataset(folder, "train", device=meta).use_mmap is False
    with pytest.raises(OptionError, match="use_mmap"):
        JASPERSteeringDataset(folder, "train", use_mmap="yes")  # type: ignore[arg-type]


def test_draws_are_those_of_numpy(tmp_path: Path) -> None:
    uneven = {"zero": 0.1, "centroid": 0.2, "keyword": 0.3, "residual": 0.4}
    folder = write(tmp_path, given=config() | {"steering_probabilities": uneven})
    with JASPERSteeringDataset(folder, "train", epoch=9) as dataset:
        rng = np.random.default_rng(42 + 9)
        drawn = [int(rng.choice(4, p=list(uneven.values()))) for _ in range(len(dataset))]
        assert [int(dataset[number]["steering_variant"]) for number in range(len(dataset))] == drawn
        assert dataset.steering_probs == uneven
