"""From what a user names to the HDF5 file that is meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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


def recordings(folder: Path) -> Iterator[Path]:
    """The HDF5 files of all recordings at or below ``folder``, in the order of their paths.

    A recording's own folder is not searched further, and links to folders are not followed.
    """
    if (folder / DATA_FILE).is_file():
        yield folder / DATA_FILE
        return
    try:
        below = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
    except PermissionError:
        return
    for entry in below:
        if not entry.name.startswith("."):
            yield from recordings(entry)
