"""What both conversions share: all of a dataset, checked, and files that are written aside."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from loaders.steering import ptfiles
from loaders.steering.checking import Parts, faults, refuse
from loaders.steering.config import Settings
from loaders.steering.residency import Residency
from loaders.steering.sources import PT, Rows, Source, open_source
from recorder.errors import ReadError
from recorder.format.embeddings import FIELDS, SPLITS, tensor_file


def folder_of(dataset_dir: str | os.PathLike[str]) -> Path:
    """A dataset's folder.

    Raises
    ------
    ReadError
        There is none.
    """
    folder = Path(dataset_dir)
    if not folder.is_dir():
        raise ReadError(f"Dataset directory not found: {folder}")
    return folder


def checked_parts(folder: Path, storage_format: str, settings: Settings) -> Parts:
    """As :func:`open_parts`, refused where loading would refuse it.

    Raises
    ------
    ReadError
        Something is missing, damaged or contradicts the rest.
    """
    parts = open_parts(folder, storage_format)
    refuse(folder, faults(parts, settings, mapped=False))
    return parts


def open_parts(folder: Path, storage_format: str) -> Parts:
    """All of a dataset with the splits that are there; left in its files where it can be.

    Raises
    ------
    ReadError
        Something is missing or damaged.
    """
    with open_source(folder, storage_format) as source:
        tensors = {stem: _left(folder, source, stem) for stem in FIELDS}
        splits = {name: pairs for name in SPLITS if (pairs := source.split(name)) is not None}
        if not splits:
            raise ReadError(f"{folder} has none of the splits {', '.join(SPLITS)}")
        labels = {stem: source.label(stem) for stem in FIELDS}
        mapped = [tensor for tensor in tensors.values() if isinstance(tensor, torch.Tensor)]
        return Parts(tensors, source.keyword_lists(), splits, labels.__getitem__, Residency(mapped))


def _left(folder: Path, source: Source, stem: str) -> Rows:
    old = source.name == PT and ptfiles.is_old(folder / tensor_file(stem))
    return source.tensor(stem, mapped=not old)


@contextlib.contextmanager
def removed(*drafts: Path) -> Iterator[None]:
    """Remove what is left of drafts when the block is left."""
    try:
        yield
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


def bar(label: str, total: int) -> tqdm[Any]:
    """A progress bar in bytes that shows itself after a second, on a terminal."""
    return tqdm(desc=label, total=total, unit="B", unit_scale=True, delay=1.0, leave=False, disable=None)
