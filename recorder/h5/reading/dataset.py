"""A dataset as a reader needs it: what HDF5 says of it is asked once, and checked when it is opened.

An h5py.Dataset asks HDF5 anew for a name, a type, a list of filters; a file of many episodes is hundreds of
datasets, of which a small range wants a few kilobytes each.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import h5py
import numpy as np

from recorder.errors import DamagedError
from recorder.h5.pipeline import Pipeline
from recorder.h5.reading.budget import check_type

_NUMBERS = (h5py.h5t.INTEGER, h5py.h5t.FLOAT)
_MOST = 64
_known: dict[bytes, tuple[np.dtype[Any], bool]] = {}
"""Types of numbers by HDF5's encoding of them: NumPy's, and whether its values are stored as they are."""


class StoredDataset:
    """What stands for an ``h5py.Dataset`` where an episode is read.

    Attributes
    ----------
    id : h5py.h5d.DatasetID
    name : str
        The path that it was opened by.
    chunks : tuple of int or None

    Raises
    ------
    DamagedError
        Its bytes lie outside this file, or its type is one that no recording holds.
    """

    def __init__(self, identifier: Any, name: str) -> None:
        self.id, self.name = identifier, name
        self._plist = plist = identifier.get_create_plist()
        layout = plist.get_layout()
        if layout == h5py.h5d.VIRTUAL or plist.get_external_count() > 0:
            raise DamagedError(f"{name}: its bytes lie outside this file, which no recording's do")
        self.chunks: tuple[int, ...] | None = plist.get_chunk() if layout == h5py.h5d.CHUNKED else None
        self._kind = kind = identifier.get_type()
        self._number = kind.get_class() in _NUMBERS
        if not self._number:
            check_type(kind, name)

    @cached_property
    def shape(self) -> Any:
        """As ``h5py.Dataset.shape``."""
        return self.id.shape

    @property
    def dtype(self) -> Any:
        """As ``h5py.Dataset.dtype``."""
        return self._types[0]

    @property
    def plain(self) -> bool:
        """Whether values are stored as NumPy has them in memory."""
        return self._types[1]

    @cached_property
    def pipeline(self) -> Pipeline | None:
        """As :meth:`Pipeline.of`, of a chunked dataset."""
        assert self.chunks is not None
        return Pipeline.from_plist(self._plist, self.name, self.chunks, self.dtype.itemsize)

    @cached_property
    def h5py(self) -> h5py.Dataset:
        """For what is asked rarely."""
        return h5py.Dataset(self.id, readonly=True)

    @property
    def file(self) -> Any:
        """As ``h5py.Dataset.file``."""
        return self.h5py.file

    @property
    def attrs(self) -> Any:
        """As ``h5py.Dataset.attrs``."""
        return self.h5py.attrs

    def __getitem__(self, place: Any) -> Any:
        return self.h5py[place]

    @cached_property
    def _types(self) -> tuple[np.dtype[Any], bool]:
        if self._number:
            return number_type(self._kind)
        dtype = self.id.dtype
        return dtype, is_plain(self._kind, dtype)


def number_type(kind: Any) -> tuple[np.dtype[Any], bool]:
    """NumPy's type for an HDF5 type of numbers, and whether their values are stored as NumPy has them."""
    encoded = kind.encode()
    found = _known.get(encoded)
    if found is None:
        found = kind.dtype, is_plain(kind, kind.dtype)
        if len(_known) < _MOST:
            _known[encoded] = found
    return found


def is_plain(kind: Any, dtype: np.dtype[Any]) -> bool:
    """Whether values of an HDF5 type are stored as NumPy has them in memory."""
    return not dtype.hasobject and bool(kind.equal(h5py.h5t.py_create(dtype, logical=True)))
