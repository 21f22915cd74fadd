"""Where recordings' files are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from recorder.format.layout import DATA_FILE

_SUFFIXES = (".h5", ".hdf5")


def find_recording(path: str | os.PathLike[str]) -> Path:
    """The HDF5 file of a recording: ``path`` itself, or in a folder ``experiment_data.h5``, else the first.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    place = Path(path)
    if place.is_file():
        return place
    if place.is_dir():
        known = place / DATA_FILE
        if known.is_file():
            return known
        others = sorted(item for item in place.iterdir() if item.suffix in _SUFFIXES and item.is_file())
        if others:
            return others[0]
    raise FileNotFoundError(f"No HDF5 data files found in {place}")


def recordings(folder: Path) -> Iterator[Path]:
    """The HDF5 files of all recordings at or below ``folder``, in the order of their paths.

    A recording's own folder is not searched further, links to folders are not followed, and folders that
    may not be read are left out.
    """
    try:
        if (folder / DATA_FILE).is_file():
            yield folder / DATA_FILE
            return
        with os.scandir(folder) as entries:
            below = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:  # another's, or gone
        return
    for name in below:
        if not name.startswith("."):
            yield from recordings(folder / name)
