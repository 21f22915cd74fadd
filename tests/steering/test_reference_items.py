"""Datasets of the original give the items that it gave, from either format and through our own files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from loaders.steering import JASPERSteeringDataset, validate_dataset  # noqa: E402
from tests.steering.making import REFERENCE  # noqa: E402

EXPECTED: dict[str, Any] = json.loads((REFERENCE / "expected_items.json").read_text())["splits"]
COMPRESSIONS = ("gzip", "lzf", None)


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    with np.load(REFERENCE / "expected_items.npz") as arrays:
        return dict(arrays)


def given_and_ours(tmp: Path) -> Iterator[tuple[str, Path, str]]:
    """The original's files, ours from its ``.pt`` files, and ``.pt`` files from ours."""
    yield "given", REFERENCE / "dataset", "pt"
    yield "given", REFERENCE / "dataset", "hdf5"
    for compression in COMPRESSIONS:
        folder = tmp / str(compression)
        shutil.copytree(REFERENCE / "dataset", folder)
        JASPERSteeringDataset.convert_pt_to_hdf5(folder, compression)
        for path in folder.glob("*.pt"):
            path.unlink()
        yield f"ours, {compression}", folder, "hdf5"
        JASPERSteeringDataset.convert_hdf5_to_pt(folder)
        yield f"back from {compression}", folder, "pt"


def test_items_read_in_order_are_those_of_the_original(tmp_path: Path, expected: dict[str, Any]) -> None:
    for name, folder, storage in given_and_ours(tmp_path):
        for mapped in (False, True):
            for key, facts in EXPECTED.items():
                split, _, epoch = key.partition("/epoch")
                with JASPERSteeringDataset(
                    folder, split, int(epoch), storage_format=storage, use_mmap=mapped
                ) as dataset:
                    assert len(dataset) == facts["length"]
                    assert dataset.steering_probs == facts["steering_probs"]
                    items = [dataset[number] for number in range(len(dataset))]
                for item_key, (dtype, shape) in facts["keys"].items():
                    values = [item[item_key] for item in items]
                    assert {(str(v.dtype), tuple(v.shape)) for v in values} == {(dtype, tuple(shape))}
                    np.testing.assert_array_equal(
                        torch.stack(values).numpy(), expected[f"{key}/{item_key}"], f"{name}: {key}"
                    )


def test_keyword_lists_of_the_original_are_the_same_in_both_formats() -> None:
    lists = torch.load(REFERENCE / "dataset" / "pair_keyword_ids.pt", weights_only=True)
    for storage in ("pt", "hdf5"):
        found = JASPERSteeringDataset(REFERENCE / "dataset", "val", storage_format=storage).pair_keyword_ids
        assert found == lists
        assert found[3] == lists[3]
        assert found[-1:] == lists[-1:]


def test_the_original_passes_the_strict_check() -> None:
    for storage in ("pt", "hdf5"):
        validate_dataset(REFERENCE / "dataset", storage)
