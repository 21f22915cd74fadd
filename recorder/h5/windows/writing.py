"""Adding subjects to a cache of windows, each in a transaction: a killed build loses the one it was at."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError, HDF5StorageError, StorageInputError, WriteError
from recorder.format.deflate import CODECS, Stored, encode_chunk
from recorder.format.layout import JOURNAL_SUFFIX, KEPT_SUFFIX, LOCK_SUFFIX
from recorder.h5 import make
from recorder.h5.keywords import filter_keywords
from recorder.h5.store.handle import Handle
from recorder.h5.store.session import Session
from recorder.h5.transaction import LIBVER
from recorder.h5.windows.layout import (
    CACHE_ID,
    COUNTS,
    FORMAT,
    FORMAT_VERSION,
    IDS,
    NAMES,
    PLACES,
    SOURCES,
    STARTS,
    WINDOWS,
    Settings,
)
from recorder.h5.windows.steady import PATIENCE

GZIP_LEVEL = 4
_IDS_CHUNK, _SUBJECTS_CHUNK = 2048, 64
_BESIDE = (JOURNAL_SUFFIX + ".new", KEPT_SUFFIX, JOURNAL_SUFFIX, LOCK_SUFFIX)
"""Of a change; as everywhere, the journal goes last of the three, and the lock after it."""

Encoded = Sequence[Stored] | NDArray[Any]
"""Windows ready for the file: chunks as they are stored, or rows where only HDF5 has the filter."""


class Encoder:
    """Turns windows into what a file takes, on any thread.

    Raises
    ------
    OptionError
        A filter that this HDF5 cannot write.
    """

    def __init__(self, compression: str | None) -> None:
        self.compression = compression
        self.keywords = filter_keywords(compression, GZIP_LEVEL if compression == "gzip" else None)

    def __call__(self, windows: NDArray[Any]) -> Encoded:
        """One chunk a window."""
        if self.compression is None:
            return [(np.ascontiguousarray(window), 0) for window in windows]
        if self.compression not in CODECS:
            return windows
        return [
            encode_chunk(np.ascontiguousarray(window), self.compression, GZIP_LEVEL) for window in windows
        ]


def create_cache(path: Path, settings: Settings, channels: int) -> None:
    """A cache without subjects, put in place as a whole.

    Raises
    ------
    WriteError
    """
    draft = path.with_name(path.name + ".new")
    try:
        with h5py.File(draft, "w", libver=LIBVER) as file:
            _skeleton(file, settings, channels)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise WriteError(f"{path} cannot be made: {error}") from error


def _skeleton(file: h5py.File, settings: Settings, channels: int) -> None:
    keywords = Encoder(None if settings.compression == "none" else settings.compression).keywords
    row = (channels, settings.window_size)
    make.growing(file.id, WINDOWS.encode(), np.dtype(settings.dtype), row, (1, *row), keywords)
    text = h5py.string_dtype()
    for name, chunk in ((IDS, _IDS_CHUNK), (NAMES, _SUBJECTS_CHUNK), (SOURCES, _SUBJECTS_CHUNK)):
        file.create_dataset(name, (0,), text, maxshape=(None,), chunks=(chunk,))
    for name in (STARTS, COUNTS):
        file.create_dataset(name, (0,), np.int64, maxshape=(None,), chunks=(_SUBJECTS_CHUNK,))
    texts: dict[str, make.Content] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        CACHE_ID: uuid.uuid4().hex,
        "normalisation": settings.normalisation,
        "dtype": settings.dtype,
        "compression": settings.compression,
        PLACES: "[]",
    }
    numbers: dict[str, make.Content] = {
        "window_size": np.int64(settings.window_size),
        "stride": np.int64(settings.stride),
        "channels": np.int64(channels),
        "epsilon": np.float64(settings.epsilon),
    }
    if settings.sampling_rate is not None:
        numbers["sampling_rate"] = np.float64(settings.sampling_rate)
    for key, value in {**texts, **numbers}.items():
        make.attribute(file.id, key, value)


class Subject:
    """The windows of one subject, while they are added."""

    def __init__(self, file: h5py.File) -> None:
        self._windows = file[WINDOWS]
        self.start = self.stop = int(self._windows.shape[0])

    def add(self, encoded: Encoded) -> None:
        """Some more windows."""
        row, count = self.stop, len(encoded)
        self._windows.resize(row + count, axis=0)
        if isinstance(encoded, np.ndarray):
            self._windows[row : row + count] = encoded
        else:
            for number, (data, mask) in enumerate(encoded):
                self._windows.id.write_direct_chunk((row + number, 0, 0), data, mask)
        self.stop += count


class CacheWriter:
    """A cache that is added to.

    Parameters
    ----------
    path : Path
        The file, which exists.
    shown : bool
        Others read it meanwhile.
    """

    def __init__(self, path: Path, *, shown: bool) -> None:
        self.path = path
        self._session = Session(path, patience=PATIENCE, reaching=shown, sync=False)

    @contextlib.contextmanager
    def subject(self, name: str, source: str, place: dict[str, str]) -> Iterator[Subject]:
        """Add a subject: all of it when the block is left, and nothing after an exception.

        Parameters
        ----------
        name : str
        source : str
            JSON of what its windows are made from.
        place : dict
            What ``sources`` of the file should list.

        Raises
        ------
        StorageInputError
            The cache has it already.
        WriteError
            It could not be stored.
        Exception
            What the block raises.
        """
        try:
            with self._session.change() as handle:
                yield from _add(handle, name, source, place)
        except HDF5StorageError:
            raise
        except OSError as error:
            raise WriteError(f"{self.path}: subject {name!r} could not be stored: {error}") from error

    def close(self) -> None:
        """Let go of the file, trimmed to its end."""
        self._session.close()


def _add(handle: Handle, name: str, source: str, place: dict[str, str]) -> Iterator[Subject]:
    file = handle.file
    if name in file[NAMES].asstr()[:]:
        raise StorageInputError(NAMES, "a subject that is not in the cache yet", repr(name))
    subject = Subject(file)
    yield subject
    count = subject.stop - subject.start
    _append(file[IDS], [name] * count)
    _append(file[NAMES], [name])
    _append(file[SOURCES], [source])
    _append(file[STARTS], [subject.start])
    _append(file[COUNTS], [count])
    places = json.loads(file.attrs[PLACES])
    if place not in places:
        make.put_attribute(file.id, PLACES, json.dumps([*places, place]))


def _append(dataset: h5py.Dataset, values: list[Any]) -> None:
    count = dataset.shape[0]
    dataset.resize(count + len(values), axis=0)
    dataset[count:] = values


def put_in_place(draft: Path, path: Path) -> None:
    """The draft becomes the cache, and what a killed process left of a change to an older one is gone.

    Only while nobody else makes the cache.

    Raises
    ------
    StorageLockedError
    WriteError
    """
    try:
        # Else the next reader would complete that change onto the new file.
        if path.exists():
            _complete(path)
        _remove_beside(path)
        draft.replace(path)
    except HDF5StorageError:
        raise
    except OSError as error:
        raise WriteError(f"{path} cannot be put in place: {error}") from error


def _complete(path: Path) -> None:
    """A file that is about to be replaced stays whole for its readers until then."""
    session = Session(path, patience=PATIENCE, reaching=False, sync=False)
    try:
        # One too damaged for its change has no readers.
        with contextlib.suppress(DamagedError), session.turn():
            pass
    finally:
        session.close()


def remove_draft(draft: Path) -> None:
    """Forget a draft, with what lies beside it."""
    for name in (draft, draft.with_name(draft.name + ".new")):
        name.unlink(missing_ok=True)
    _remove_beside(draft)


def _remove_beside(path: Path) -> None:
    for suffix in _BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
