"""Whose recording a file is, or that it is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recorder.errors import DamagedError, ReadError
from recorder.format.layout import EPISODES, FORMAT, FORMAT_VERSION
from recorder.h5.reading.guard import attributes, child_group, damage


def is_original(file: Any, path: Path) -> bool:
    """Whether the original system wrote it; flightrec did otherwise.

    Raises
    ------
    ReadError
        It is no recording, or of a format version that is not known here.
    DamagedError
    """
    with damage(str(path)):
        root = attributes(file)
        if root.get("format") == FORMAT:
            version = str(root.get("format_version"))
            known = FORMAT_VERSION.partition(".")[0]
            if version.partition(".")[0] != known:
                raise ReadError(
                    f"{path} has format version {version}; this one reads {known}.x: update flightrec"
                )
            return False
        if "format" in root or child_group(file, EPISODES) is None:
            raise ReadError(
                f"{path} is an HDF5 file but no recording (no format attribute, no group 'episodes')"
            )
        return True


def refused(file: Any, path: Path) -> ReadError | None:
    """Why a file is no recording for this reader; None where it is one, if a damaged one."""
    try:
        is_original(file, path)
    except DamagedError:
        return None
    except ReadError as error:
        return error
    return None
