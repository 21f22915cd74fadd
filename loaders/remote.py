"""Recordings by URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recorder.format.layout import DATA_FILE
from recorder.h5.reading.remote import NEEDED, RemoteRecording, is_url

_SUFFIXES = (".h5", ".hdf5")


def is_remote(path: Any) -> bool:
    """Whether a path is a URL, or one of universal_pathlib's that is none of this machine."""
    return is_url(path) or getattr(path, "protocol", "") not in ("", "file", "local")


def open_remote(path: Any, storage_options: Mapping[str, Any] | None) -> tuple[Any, RemoteRecording]:
    """The ``UPath`` of a recording's file, and the file; a URL without suffix is that of its folder.

    Raises
    ------
    ImportError
        fsspec, universal_pathlib, or the library of that store is missing.
    FileNotFoundError, ReadError, DamagedError
    """
    try:
        from upath import UPath
    except ImportError as error:
        raise ImportError(NEEDED) from error
    place = UPath(path, **(storage_options or {}))
    if place.suffix not in _SUFFIXES:
        place /= DATA_FILE
    # Of a chain, as simplecache::s3://…, universal_pathlib has options that fsspec takes from the URL again.
    chained = "::" in str(path)
    options = dict(storage_options or {}) if chained else dict(place.storage_options)
    return place, RemoteRecording(place, str(place), options)
