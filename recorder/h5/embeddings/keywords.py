"""Lists of keywords that differ in length, as one flat array and the places where each begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from h5py import h5d, h5l, h5s
from numpy.typing import NDArray
from tqdm import tqdm

from recorder.errors import DamagedError
from recorder.format.embeddings import OFFSETS, VALUES
from recorder.h5.reading.budget import check_size
from recorder.h5.reading.dataset import StoredDataset
from recorder.h5.reading.guard import child_dataset

Lists = tuple[NDArray[Any], NDArray[np.int64]]


def read(group: Any, whole: Callable[[Any], NDArray[Any]]) -> Lists:
    """The lists of a group, written in either way; ``whole`` reads a dataset.

    Raises
    ------
    DamagedError
        The places do not fit the values, or a list is missing.
    """
    flat, places = child_dataset(group, VALUES), child_dataset(group, OFFSETS)
    if flat is None or places is None:
        return _one_by_one(group)
    values, offsets = whole(flat), whole(places)
    check(values, offsets)
    return values, offsets.astype(np.int64, copy=False)


def check(values: NDArray[Any], offsets: NDArray[Any]) -> None:
    """Refuse places that are not those of lists one after the other.

    Raises
    ------
    DamagedError
    """
    fine = (
        values.ndim == offsets.ndim == 1
        and values.dtype.kind == "i"
        and offsets.dtype.kind == "i"
        and len(offsets)
        and offsets[0] == 0
        and offsets[-1] == len(values)
        and bool((np.diff(offsets) >= 0).all())
    )
    if not fine:
        raise DamagedError("its offsets do not divide its values into lists")


def _one_by_one(group: Any) -> Lists:
    """As older files have them: a dataset for each list."""
    count = len(group)
    parts, offsets = [np.empty(0, np.int32)], np.zeros(count + 1, np.int64)
    for number in tqdm(range(count), "keyword lists", delay=1.0, disable=None, leave=False):
        part = _list(group, number, count)
        offsets[number + 1] = offsets[number] + len(part)
        if len(part):
            parts.append(part)
    return np.concatenate(parts, dtype=np.result_type(*{part.dtype for part in parts})), offsets


def _list(group: Any, number: int, count: int) -> NDArray[Any]:
    name = str(number).encode()
    if not group.id.links.exists(name) or group.id.links.get_info(name).type != h5l.TYPE_HARD:
        raise DamagedError(f"there is no list {number} among {count:,}")
    found = StoredDataset(h5d.open(group.id, name), f"{group.name}/{number}")
    if len(found.shape) != 1 or found.dtype.kind != "i":
        raise DamagedError(f"list {number} is {found.dtype} {found.shape}, and not one of integers")
    if found.id.get_storage_size() < found.shape[0] * found.dtype.itemsize:
        check_size(found, found.shape[0] * found.dtype.itemsize)
    part = np.empty(found.shape, found.dtype.newbyteorder("="))
    if part.size:
        found.id.read(h5s.ALL, h5s.ALL, part)
    return part
