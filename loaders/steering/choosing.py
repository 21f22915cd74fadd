"""Which files of a folder are read: those asked for, or whichever are newest and whole."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from loaders.steering import ptfiles
from loaders.steering.sources import HDF5, PT, Hdf5Source, has_h5py
from recorder.errors import FlightrecError, OptionError, ReadError
from recorder.format.embeddings import DATASET_FILE, HARD_NEGATIVES

logger = logging.getLogger("loaders.steering")

AUTO = "auto"
FORMATS = (AUTO, PT, HDF5)
_CALLED = {PT: "the .pt files", HDF5: DATASET_FILE}


def choose(folder: Path, storage_format: str, splits: Sequence[str]) -> str:
    """``"pt"`` or ``"hdf5"``; which and why is logged.

    Parameters
    ----------
    folder : Path
    storage_format : "auto", "pt" or "hdf5"
    splits : sequence of str
        What a whole dataset has, besides its tensors.

    Raises
    ------
    OptionError
        Another format, or HDF5 without h5py.
    ReadError
        There are no such files.
    """
    if storage_format not in FORMATS:
        raise OptionError(f"Invalid storage_format: {storage_format!r}. It must be one of {FORMATS}")
    if storage_format == AUTO:
        found, why = _newest(folder, ptfiles.stems(splits), splits)
    else:
        found, why = storage_format, "as asked for"
        _require(folder, found)
    logger.info("Using storage format: %s", found)
    logger.info("Chosen because: %s", why)
    stems = ptfiles.stems(splits)
    if storage_format == HDF5 and ptfiles.newest(folder, stems) > _changed(folder):
        logger.info("%s: .pt files are newer than %s, which is read as asked for", folder, DATASET_FILE)
    return found


def choose_negatives(folder: Path, opened: str) -> str:
    """The format whose hard negatives are current, for a dataset that was opened in ``opened``."""
    # A file that is not whole was passed over when the dataset was opened, and is as little read now.
    there = [ptfiles.what_is_broken(folder, HARD_NEGATIVES) == "", _is_whole(folder)]
    if not all(there):
        return PT if there[0] else HDF5 if there[1] else opened
    return PT if ptfiles.newest(folder, HARD_NEGATIVES) > _changed(folder) else HDF5


def _is_whole(folder: Path) -> bool:
    return _changed(folder) > 0 and has_h5py() and not _fault(folder, HDF5, (), ())


def _require(folder: Path, storage_format: str) -> None:
    if storage_format == PT and not ptfiles.is_there(folder):
        raise ReadError(f"PT files not found in {folder}")
    if storage_format == HDF5 and not has_h5py():
        raise OptionError("HDF5 format requested but h5py is not installed. Install with: pip install h5py")
    if storage_format == HDF5 and not (folder / DATASET_FILE).is_file():
        raise ReadError(f"HDF5 file not found: {folder / DATASET_FILE}")


def _changed(folder: Path) -> int:
    try:
        return (folder / DATASET_FILE).stat().st_mtime_ns
    except OSError:
        return 0


def _newest(folder: Path, stems: Sequence[str], splits: Sequence[str]) -> tuple[str, str]:
    times = {}
    if (folder / DATASET_FILE).is_file() and has_h5py():
        times[HDF5] = _changed(folder)
    if ptfiles.is_there(folder):
        times[PT] = ptfiles.newest(folder, stems)
    if not times:
        raise ReadError(f"No dataset files found in {folder}. Expected either {DATASET_FILE} or *.pt files")
    # Of the same age they have the same contents, and one file is read faster than many.
    ranked = sorted(times, key=lambda name: (times[name], name == HDF5), reverse=True)
    if len(ranked) == 1:
        return ranked[0], f"there is nothing else than {_CALLED[ranked[0]]}"
    faults: list[str] = []
    for name in ranked:
        fault = _fault(folder, name, stems, splits)
        if not fault:
            why = f"{_CALLED[name]} are newest" if name == PT else f"{_CALLED[name]} is newest"
            return name, f"{why} and whole" if not faults else f"whole, while {'; '.join(faults)}"
        faults.append(fault)
        logger.warning("%s: %s", folder, fault)
    return ranked[0], f"newest, although {'; '.join(faults)}"


def _fault(folder: Path, storage_format: str, stems: Sequence[str], splits: Sequence[str]) -> str:
    if storage_format == PT:
        return ptfiles.what_is_broken(folder, stems)
    try:
        with Hdf5Source(folder) as source:
            lacks = [*source.what_is_missing(), *(name for name in splits if source.split(name) is None)]
    except (FlightrecError, OSError) as error:
        return str(error)
    return f"{DATASET_FILE} lacks {', '.join(lacks)}" if lacks else ""
