"""Where a recording's file is."""

from __future__ import annotations

import os
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
