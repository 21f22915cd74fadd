"""From ``dataset.h5`` to ``.pt`` files: all written aside, read again, then put in place."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from loaders.steering import ptfiles
from loaders.steering.config import Settings
from loaders.steering.conversion import checked_parts, folder_of, removed
from loaders.steering.keywords import KeywordLists
from loaders.steering.rows import StoredRows
from loaders.steering.sources import HDF5, Hdf5Source, embedding_file
from recorder.errors import DamagedError, ReadError
from recorder.format.embeddings import (
    CONFIG_FILE,
    DATASET_FILE,
    DRAFT_SUFFIX,
    KEYWORD_LISTS,
    split_stem,
    tensor_file,
)

logger = logging.getLogger("loaders.steering")


def convert_hdf5_to_pt(dataset_dir: str | os.PathLike[str]) -> None:
    """Make the ``.pt`` files of a folder from its ``dataset.h5``, which stays.

    They are as old as the file that they come from, so that it counts as newest where it did. Older ones
    are replaced once all are written; a kill in between leaves a folder without whole ``.pt`` files. Where
    ``config.json`` is missing, it is written from what the file has kept of it.

    Raises
    ------
    ReadError
        A ``ValueError``: folder, file or configuration are not there, are damaged or contradict themselves.
    RecordingLockedError
        Another process converts this folder.
    OSError
        A file cannot be written.
    """
    folder = folder_of(dataset_dir)
    path = folder / DATASET_FILE
    Hdf5Source(folder).close()
    from recorder.h5.lock import RecordingLock

    logger.info("Converting HDF5 format to PT in %s", folder)
    with RecordingLock(path):
        _restore_config(folder)
        age = path.stat().st_mtime_ns
        parts = checked_parts(folder, HDF5, Settings.read(folder))
        values: dict[str, Any] = {**parts.tensors, KEYWORD_LISTS: parts.keywords}
        values |= {split_stem(name): pairs for name, pairs in parts.splits.items()}
        drafts = {stem: folder / (tensor_file(stem) + DRAFT_SUFFIX) for stem in values}
        with removed(*drafts.values()):
            for stem, value in tqdm(
                values.items(), "converting", unit="file", delay=1.0, leave=False, disable=None
            ):
                _save(drafts[stem], value)
                os.utime(drafts[stem], ns=(age, age))
            # The file by which the others are found goes first, and comes last.
            first, *others = values
            (folder / tensor_file(first)).unlink(missing_ok=True)
            for stem in [*others, first]:
                drafts[stem].replace(folder / tensor_file(stem))
    logger.info("Conversion complete. %d .pt files saved to %s", len(values), folder)


def _restore_config(folder: Path) -> None:
    target = folder / CONFIG_FILE
    if target.is_file():
        return
    with embedding_file(folder / DATASET_FILE) as file:
        text = file.config()
    if text is None:
        raise ReadError(f"Config file not found: {target}")
    draft = target.with_name(target.name + DRAFT_SUFFIX)
    with removed(draft):
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)


def _save(draft: Path, value: Any) -> None:
    if isinstance(value, KeywordLists):
        torch.save(list(value), draft)
        same = ptfiles.load(draft) == list(value)
    else:
        # Not a part of a file's map, which would be saved whole.
        tensor = value[:] if isinstance(value, StoredRows) else value.clone()
        torch.save(tensor, draft)
        same = torch.equal(ptfiles.load_tensor(draft, mapped=True), tensor)
    if not same:
        raise DamagedError(f"{draft} did not take its values as they are")
