"""The strict check of a dataset, for those who build one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import torch

from loaders.steering.checking import Parts, blocks, faults
from loaders.steering.choosing import AUTO, choose
from loaders.steering.config import Settings
from loaders.steering.conversion import folder_of, open_parts
from recorder.errors import DamagedError
from recorder.format.embeddings import PAIRS, SPLITS


def validate_dataset(dataset_dir: str | os.PathLike[str], storage_format: str = AUTO) -> None:
    """Check all of what a dataset promises; loading checks less.

    Besides what loading checks: that no value is NaN or infinite, even in files so large that they are
    mapped; that the true source of a pair is never among its negatives; that the three splits have no pair
    in common, and all pairs.

    Parameters
    ----------
    dataset_dir : path
    storage_format : "auto", "pt" or "hdf5"

    Raises
    ------
    ReadError
        Files are missing or damaged.
    DamagedError
        Something does not hold; the message has all that was found.
    """
    folder = folder_of(dataset_dir)
    settings = Settings.read(folder)
    parts = open_parts(folder, choose(folder, storage_format, SPLITS))
    found = list(faults(parts, settings, mapped=False)) or list(_beyond_loading(parts))
    if found:
        raise DamagedError(f"{folder}: {'; '.join(found)}")


def _beyond_loading(parts: Parts) -> Iterator[str]:
    place = 0
    for block in blocks(parts, "hard_negatives"):
        true = parts.tensors["pair_index"][place : place + len(block)][:, 1:]
        wrong = torch.nonzero((block == true).any(1))
        if len(wrong):
            pair = place + int(wrong[0])
            yield f"hard_negatives of pair {pair} have its true source {int(true[int(wrong[0])])}"
            break
        place += len(block)
    for name in SPLITS:
        if name not in parts.splits:
            yield f"there is no split {name}"
    times = np.zeros(parts.count(PAIRS), np.int64)
    for pairs in parts.splits.values():
        times += np.bincount(pairs.numpy(), minlength=len(times))
    for wrong_ones, text in ((times > 1, "more than one place of"), (times == 0, "none of")):
        if wrong_ones.any():
            yield f"pair {int(np.flatnonzero(wrong_ones)[0])} is in {text} the splits"
