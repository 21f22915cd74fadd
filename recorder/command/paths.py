"""From what a user names to the HDF5 file that is meant."""

from __future__ import annotations

from pathlib import Path

from loaders.find import recordings
from recorder.errors import ReadError
from recorder.format.layout import DATA_FILE

SUFFIXES = (".h5", ".hdf5")


def data_file(path: Path) -> Path:
    """The recording's HDF5 file, given that file or its folder.

    Raises
    ------
    ReadError
        A folder without a recording, or a file of another kind.
    """
    if path.is_dir():
        if (path / DATA_FILE).is_file():
            return path / DATA_FILE
        others = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
        if not others:
            below = next(recordings(path), None)
            hint = "" if below is None else f"; below it there are some: flightrec ls {path}"
            raise ReadError(f"no recording in {path}: it has no {DATA_FILE}{hint}")
        return others[0]
    return path
