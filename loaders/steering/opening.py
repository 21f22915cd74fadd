"""Opening a dataset: which files, which splits, in memory or mapped."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from loaders.steering.choosing import choose
from loaders.steering.config import MAPPED_FROM, Settings
from loaders.steering.contents import Contents, no_split
from recorder.errors import OptionError, ReadError
from recorder.format.embeddings import SPLITS

logger = logging.getLogger("loaders.steering")

Folder = str | os.PathLike[str]


def open_contents(
    dataset_dir: Folder,
    splits: Sequence[str],
    device: torch.device | None,
    storage_format: str,
    use_mmap: bool | None,
) -> Contents:
    """Look for everything in the documented order, and load it.

    Raises
    ------
    ReadError, OptionError
        As :class:`loaders.steering.dataset.JASPERSteeringDataset`.
    """
    folder, where = Path(dataset_dir).absolute(), device_of(device)
    if use_mmap not in (None, True, False):
        raise OptionError(f"use_mmap must be None, True or False, got {use_mmap!r}")
    if not folder.is_dir():
        raise ReadError(f"Dataset directory not found: {Path(dataset_dir)}")
    settings = Settings.read(folder)
    found = choose(folder, storage_format, [split for split in splits if split in SPLITS])
    for split in splits:
        if split not in SPLITS:
            raise no_split(folder, split)
    mapped = use_mmap
    if mapped is None:
        mapped = where.type == "cpu" and settings.estimated_bytes() > MAPPED_FROM
    if mapped and where.type != "cpu":
        logger.warning("use_mmap=True: tensors stay in their files, and samples are moved to %s", where)
    for split in splits:
        logger.info("Loading %s split from %s", split, Path(dataset_dir))
    return Contents(folder, found, settings, splits, mapped=bool(mapped), device=where)


def device_of(device: torch.device | None) -> torch.device:
    """The device that was asked for; the CPU where none was."""
    return torch.device("cpu" if device is None else device)
