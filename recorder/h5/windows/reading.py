"""A cache of windows, read by any process; also one that the older system wrote."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.errors import CacheNotFoundError, DamagedError, ReadError
from recorder.h5.reading.dataset import StoredDataset
from recorder.h5.reading.guard import damage
from recorder.h5.reading.perprocess import PerProcess
from recorder.h5.reading.scattered import RowFile
from recorder.h5.untrusted import open_untrusted
from recorder.h5.windows.layout import CACHE_ID, COUNTS, IDS, NAMES, SOURCES, STARTS, WINDOWS
from recorder.h5.windows.steady import open_steadily


class WindowFile:
    """The windows of a cache, and whose they are. Goes through pickles and forks; threads may share one.

    Later windows of a cache that another process adds to are not seen.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    shape : tuple of int
        ``(windows, channels, samples)``.
    dtype : np.dtype
        As stored.
    filtered : bool
        Whether reading has to undo filters.
    names : list of str
    starts, counts : int64 array
        First row and number of rows of each subject.
    sources : list of str
        JSON a subject; empty where the file has none.
    attributes : dict
        The root's.

    Raises
    ------
    CacheNotFoundError
        There is no file.
    DamagedError
        It is no cache of windows, or its parts contradict each other.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        try:
            facts = open_steadily(self.path, functools.partial(_Facts, self.path))
        except FileNotFoundError as error:
            raise CacheNotFoundError(
                f"HDF5 file not found: {Path(path)}. Please run create_hdf5_cache() first."
            ) from error
        self.shape, self.dtype, self.filtered = facts.shape, facts.dtype, facts.filtered
        self.names, self.starts, self.counts = facts.names, facts.starts, facts.counts
        self.sources, self.attributes = facts.sources, facts.attributes
        self._rows = PerProcess(
            functools.partial(_open_rows, self.path, self.attributes.get(CACHE_ID), self.shape)
        )

    def read(
        self, rows: Sequence[int] | NDArray[np.integer], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Windows in the order asked for, ``(len(rows), channels, samples)`` as stored.

        A fresh array, or ``out``, which must be C-contiguous, of that shape and :attr:`dtype`.

        Raises
        ------
        IndexError, DamagedError, ClosedError
            See :meth:`RowFile.read`.
        ReadError
            Another cache has taken the place of the one that was opened.
        """
        return self._rows.get().read(rows, out)

    def expect(self, rows: Sequence[int] | NDArray[np.integer]) -> None:
        """Have the system fetch windows that will be read soon; see :meth:`RowFile.expect`."""
        self._rows.get().expect(rows)

    def close(self) -> None:
        """Close this process's file. Idempotent."""
        self._rows.close()


def _open_rows(path: Path, cache_id: str | None, shape: tuple[int, ...]) -> RowFile:
    def look() -> RowFile:
        rows = RowFile(path, WINDOWS)
        try:
            with open_untrusted(path) as file:
                now = file.attrs.get(CACHE_ID)
            if now != cache_id or rows.shape[1:] != shape[1:] or len(rows) < shape[0]:
                raise ReadError(f"{path} is another cache than the one that was opened")
        except BaseException:
            rows.close()
            raise
        return rows

    return open_steadily(path, look)


class _Facts:
    """What a cache says of itself; its windows are left alone."""

    def __init__(self, path: Path) -> None:
        try:
            file = open_untrusted(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            if not path.is_file():
                raise
            raise DamagedError(f"{path} is no HDF5 file, or is damaged: {error}") from error
        with file, damage(str(path)):
            self._look(file)

    def _look(self, file: h5py.File) -> None:
        windows = _dataset(file, WINDOWS, 3)
        self.shape: tuple[int, ...] = windows.shape
        self.dtype: np.dtype[Any] = windows.dtype
        if self.dtype.kind != "f":
            raise DamagedError(f"its windows are {self.dtype}, and not floating-point numbers")
        self.filtered = windows.h5py.compression is not None
        self.names = _texts(_dataset(file, NAMES, 1))
        self.starts = np.asarray(_dataset(file, STARTS, 1)[:], np.int64)
        self.counts = np.asarray(_dataset(file, COUNTS, 1)[:], np.int64)
        self.sources = _texts(_dataset(file, SOURCES, 1)) if SOURCES in file else []
        self.attributes = dict(file.attrs.items())
        if not len(self.names) == len(self.starts) == len(self.counts):
            raise DamagedError("names, starts and counts of its subjects are not equally many")
        if np.any(self.starts < 0) or np.any(self.counts < 0):
            raise DamagedError("a subject begins before the first window, or has less than none")
        if np.any(self.starts + self.counts > self.shape[0]):
            raise DamagedError(f"a subject has windows beyond the {self.shape[0]} that there are")
        self._check_owners(_dataset(file, IDS, 1))

    def _check_owners(self, ids: StoredDataset) -> None:
        """In the older system a subject that failed shifted all later ones, and left the file's end empty."""
        owners = ids.h5py.asstr()
        for name, start, count in zip(self.names, self.starts.tolist(), self.counts.tolist(), strict=True):
            for row in sorted({start, start + count - 1}) if count else ():
                if owners[row] != name:
                    raise DamagedError(
                        f"window {row} should be of subject {name!r} and is of {owners[row]!r}: a subject "
                        "failed while the cache was made, and shifted the others. Make it anew"
                    )

    def close(self) -> None:
        """Nothing is kept open."""


def _dataset(file: h5py.File, name: str, dimensions: int) -> StoredDataset:
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DamagedError(f"it has no dataset {name!r}, so it is no cache of windows")
    if len(found.shape or ()) != dimensions:
        raise DamagedError(f"{name!r} has shape {found.shape}, expected {dimensions} dimensions")
    return StoredDataset(found.id, found.name)


def _texts(dataset: StoredDataset) -> list[str]:
    return [str(text) for text in dataset.h5py.asstr()[:]]
