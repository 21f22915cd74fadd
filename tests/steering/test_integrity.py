"""Data that contradict themselves are refused when they are loaded, and more of it by the strict check."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from loaders.steering import JASPERSteeringDataset, validate_dataset  # noqa: E402
from loaders.steering.keywords import KeywordLists  # noqa: E402
from recorder.errors import DamagedError, OptionError  # noqa: E402
from recorder.format.embeddings import FIELDS  # noqa: E402
from tests.steering.making import REFERENCE, tensors, write  # noqa: E402

Change = Callable[[dict[str, Any]], Any]


def at(stem: str, place: Any, value: Any) -> Change:
    def change(values: dict[str, Any]) -> None:
        values[stem][place] = value

    return change


def whole(stem: str, value: Callable[[Any], Any]) -> Change:
    def change(values: dict[str, Any]) -> None:
        values[stem] = value(values[stem])

    return change


def _first_three(value: Any) -> Any:
    return value[:3]


NAN = float("nan")
FAULTS: dict[str, tuple[Change, str]] = {
    "question": (
        at("pair_index", (3, 0), 99),
        "pair_index references question 99, but only 15 questions",
    ),
    "source": (at("pair_index", (3, 1), 20), "pair_index references source 20, but only 20 sources exist"),
    "negative question": (at("pair_index", (3, 0), -1), "pair_index references question -1, but only 15"),
    "negative source": (at("hard_negatives", (0, 2), -2), "hard_negatives references source -2, but only 20"),
    "negatives": (
        at("hard_negatives", (0, 2), 21),
        "hard_negatives references source 21, but only 20",
    ),
    "cluster": (at("pair_cluster_id", 0, 4), "pair_cluster_id references cluster 4, but only 4 clusters"),
    "keyword": (at("pair_keyword_ids", 7, [9]), "pair_keyword_ids references keyword 9, but only 9 keywords"),
    "split": (at("train_idx", 0, 50), "Split indices reference pair 50, but only 50 pairs exist"),
    "split below": (at("train_idx", 0, -1), "Split indices reference pair -1, but only 50 pairs exist"),
    "tier": (at("negative_tiers", (1, 1), 0), "has the value 0, expected 1 to 4"),
    "tier above": (at("negative_tiers", (1, 1), 5), "has the value 5, expected 1 to 4"),
    "relevance": (at("pair_relevance", 1, 1.5), "has the value 1.5, expected 0 to 1"),
    "relevance nan": (at("pair_relevance", 1, NAN), "has NaN or infinite values"),
    "distance": (at("centroid_distances", 1, 2.5), "has the value 2.5, expected 0 to 2"),
    "width": (whole("question_embs", lambda t: t[:, :5]), "dimension 1 has size 5, expected 8"),
    "n_neg": (whole("negative_tiers", lambda t: t[:, :2]), "dimension 1 has size 2, expected 3"),
    "axes": (whole("steering_residual", lambda t: t[:, 0]), "has 1 dimensions, expected 2"),
    "steering length": (
        whole("steering_centroid", _first_three),
        "steering_centroid has 3 entries, expected 50",
    ),
    "negatives length": (
        whole("hard_negatives", _first_three),
        "hard_negatives has 3 entries, expected 50",
    ),
    "keywords length": (
        whole("pair_keyword_ids", _first_three),
        "pair_keyword_ids has 3 entries, expected 50",
    ),
    "floats": (
        whole("pair_index", lambda t: t.float()),
        "has values of torch.float32, expected signed",
    ),
    "ints": (whole("source_embs", lambda t: t.int()), "has values of torch.int32, expected floats"),
    "split type": (whole("train_idx", lambda t: t.float()), "split train is torch.float32"),
    "mixed": (
        whole("steering_residual", lambda t: t.double()),
        "has values of torch.float64, and steering",
    ),
}


def as_hdf5(folder: Path, values: dict[str, Any]) -> None:
    """Write ``dataset.h5`` as the original did, with whatever is wrong in it."""
    with h5py.File(folder / "dataset.h5", "w") as file:
        for stem, field in FIELDS.items():
            file[field.paths[-1]] = values[stem].numpy()
        for number, one in enumerate(values["pair_keyword_ids"]):
            file[f"pair_data/keyword_ids/{number}"] = np.array(one, np.int32)
        for name in ("train", "val", "test"):
            file[f"splits/{name}"] = values[f"{name}_idx"].numpy()


@pytest.mark.parametrize("fault", FAULTS)
def test_contradictions_are_refused_in_all_modes(tmp_path: Path, fault: str) -> None:
    change, text = FAULTS[fault]
    values = tensors()
    change(values)
    write(tmp_path, values)
    as_hdf5(tmp_path, values)
    for storage in ("pt", "hdf5"):
        for mapped in (False, True):
            with pytest.raises(ValueError, match="(?s)" + text):
                JASPERSteeringDataset(tmp_path, "train", storage_format=storage, use_mmap=mapped)
        with pytest.raises(DamagedError, match=text):
            validate_dataset(tmp_path, storage)


@pytest.mark.parametrize("stem", [stem for stem, field in FIELDS.items() if field.kind == "f"])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, stem: str) -> None:
    values = tensors()
    values[stem].view(-1)[3] = float("inf")
    write(tmp_path, values)
    as_hdf5(tmp_path, values)
    for storage in ("pt", "hdf5"):
        with pytest.raises(DamagedError, match="NaN or infinite"):
            JASPERSteeringDataset(tmp_path, "train", storage_format=storage)


def test_the_strict_check_looks_further(tmp_path: Path) -> None:
    values = tensors()
    write(tmp_path, values)
    validate_dataset(tmp_path)
    values["hard_negatives"][6, 1] = values["pair_index"][6, 1]
    values["val_idx"][0] = values["train_idx"][0]
    write(tmp_path, values)
    JASPERSteeringDataset(tmp_path, "train").close()
    with pytest.raises(DamagedError) as caught:
        validate_dataset(tmp_path)
    text = str(caught.value)
    assert f"hard_negatives of pair 6 have its true source {int(values['pair_index'][6, 1])}" in text
    assert f"pair {int(values['train_idx'][0])} is in more than one place of the splits" in text
    assert "is in none of the splits" in text
    (tmp_path / "val_idx.pt").unlink()
    with pytest.raises(DamagedError, match="there is no split val"):
        validate_dataset(tmp_path, "pt")


class Evil:
    """Runs a command where a pickle of it is trusted."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_pickles_are_not_run(tmp_path: Path) -> None:
    folder, mark = write(tmp_path / "data"), tmp_path / "mark"
    for name in ("pair_keyword_ids.pt", "question_embs.pt", "train_idx.pt"):
        before = (folder / name).read_bytes()
        torch.save([Evil(mark)], folder / name)
        with pytest.raises(DamagedError, match="more than tensors and plain values"):
            JASPERSteeringDataset(folder, "train")
        (folder / name).write_bytes(pickle.dumps(Evil(mark), 2))
        with pytest.raises(DamagedError, match=name):
            JASPERSteeringDataset(folder, "train")
        (folder / name).write_bytes(before)
    assert not mark.exists()


LISTS: list[tuple[Any, str]] = [
    ("text", "expected a list of lists of int, got str"),
    ([[1], 2], "pair 1 has 2, expected a list of int"),
    ([[1.0]], "pair 0 has"),
    ([[True]], "pair 0 has"),
    ([[1 << 70]], "more than 64 bits"),
    ([torch.tensor([1])], "pair 0 has tensor"),
]


@pytest.mark.parametrize(("lists", "text"), LISTS)
def test_keyword_lists_of_anything_else_are_refused(lists: Any, text: str) -> None:
    with pytest.raises(DamagedError, match=text):
        KeywordLists.of(lists, "pair_keyword_ids.pt")


def test_keyword_lists_read_like_lists() -> None:
    lists = [[3, 1], [], [2]]
    found = KeywordLists.of(lists, "")
    assert found == lists
    assert found == KeywordLists.of(lists, "")
    assert found != KeywordLists.of([[3], [1], [2]], "")
    assert (found[0], found[-1], found[1:], len(found), list(found)) == ([3, 1], [2], [[], [2]], 3, lists)
    assert repr(found) == "KeywordLists(3 pairs, 3 keywords)"
    with pytest.raises(IndexError):
        found[3]


def test_tensors_of_other_kinds_are_refused(tmp_path: Path) -> None:
    for wrong in ({"a": 1}, torch.eye(8).to_sparse()):
        write(tmp_path, tensors() | {"source_embs": wrong})
        with pytest.raises(DamagedError, match="expected a dense tensor"):
            JASPERSteeringDataset(tmp_path, "train")
    (tmp_path / "source_embs.pt").write_bytes(b"PK\x03\x04 but no more")
    with pytest.raises(DamagedError, match="damaged"):
        JASPERSteeringDataset(tmp_path, "train")


def test_gradients_are_left_behind(tmp_path: Path) -> None:
    values = tensors()
    values["source_embs"] = torch.nn.Parameter(values["source_embs"])
    with JASPERSteeringDataset(write(tmp_path, values), "train") as dataset:
        assert not dataset[0]["negative_embs"].requires_grad


LISTS_AT = "pair_data/keyword_ids"
HDF5_FAULTS: list[tuple[str, Callable[[h5py.File], Any], str]] = [
    ("no keywords", lambda file: file.__delitem__("pair_data/keyword_ids"), "there is no group"),
    (
        "a list is missing",
        lambda file: file.move("pair_data/keyword_ids/7", "pair_data/keyword_ids/x"),
        "no list 7",
    ),
    ("a tensor is missing", lambda file: file.__delitem__("steering/distances"), "steering/distances"),
    ("a link away", lambda file: file.move("embeddings", "elsewhere"), "there is no dataset 'embeddings"),
]


@pytest.mark.parametrize(("what", "change", "text"), HDF5_FAULTS, ids=[fault[0] for fault in HDF5_FAULTS])
def test_hdf5_files_that_lack_something_are_refused(
    tmp_path: Path, what: str, change: Callable[[h5py.File], Any], text: str
) -> None:
    del what
    shutil.copytree(REFERENCE / "dataset", tmp_path / "data")
    with h5py.File(tmp_path / "data" / "dataset.h5", "r+") as file:
        change(file)
    for mapped in (False, True):
        with pytest.raises(DamagedError, match=text):
            JASPERSteeringDataset(tmp_path / "data", "train", storage_format="hdf5", use_mmap=mapped)


def test_offsets_that_do_not_divide_the_keywords_are_refused(tmp_path: Path) -> None:
    JASPERSteeringDataset.convert_pt_to_hdf5(write(tmp_path))
    for offsets in ([0, 5, 3], [1, 2], [0, 10_000], [], [0.0, 1.0]):
        with h5py.File(tmp_path / "dataset.h5", "r+") as file:
            del file["pair_data/keyword_ids/offsets"]
            file["pair_data/keyword_ids/offsets"] = np.array(offsets)
        with pytest.raises(DamagedError, match="do not divide"):
            JASPERSteeringDataset(tmp_path, "train", storage_format="hdf5")


def test_bytes_that_turned_are_noticed(tmp_path: Path) -> None:
    JASPERSteeringDataset.convert_pt_to_hdf5(write(tmp_path))
    with h5py.File(tmp_path / "dataset.h5", "r") as file:
        place = file["embeddings/sources"].id.get_chunk_info(0).byte_offset
    data = bytearray((tmp_path / "dataset.h5").read_bytes())
    data[place + 100] ^= 1
    (tmp_path / "dataset.h5").write_bytes(data)
    with pytest.raises(DamagedError, match="embeddings/sources"):
        JASPERSteeringDataset(tmp_path, "train", storage_format="hdf5")
    dataset = JASPERSteeringDataset(tmp_path, "train", storage_format="hdf5", use_mmap=True)
    with pytest.raises(DamagedError, match="embeddings/sources"):
        dataset.__getitems__(range(len(dataset)))


def test_numbers_in_another_byte_order_are_read(tmp_path: Path) -> None:
    write(tmp_path)
    values = tensors()
    as_hdf5(tmp_path, values)
    with h5py.File(tmp_path / "dataset.h5", "r+") as file:
        del file["embeddings/sources"]
        file["embeddings/sources"] = values["source_embs"].numpy().astype(">f4")
    for mapped in (False, True):
        with JASPERSteeringDataset(tmp_path, "train", storage_format="hdf5", use_mmap=mapped) as dataset:
            assert torch.equal(dataset.source_embs[:], values["source_embs"])


def test_an_option_that_cannot_be_is_a_value_error() -> None:
    assert issubclass(OptionError, ValueError)
