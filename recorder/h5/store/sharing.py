"""Arrays that consecutive snapshots have in common, stored once: a second link leads to the same dataset."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.storage import CONTENT, KINDS
from recorder.h5 import make
from recorder.h5.store.arrays import Filters, StoredArray, put
from recorder.h5.store.handle import Handle

_LEAST = 512
"""Bytes below which a dataset of its own costs hardly more."""
_REMEMBERED = 32


class Shared:
    """The arrays of the newest snapshots by a hash of their content.

    Parameters
    ----------
    handle : Handle
    newest : str or None
        Id of the snapshot that was stored last.
    """

    def __init__(self, handle: Handle, newest: str | None) -> None:
        self._handle, self._file = handle, handle.file
        self._paths: OrderedDict[bytes, str] = OrderedDict()
        self._looked: set[bytes] = set()
        """Hashes whose arrays are known to be what they say: no other program has had the file since."""
        for place in KINDS["snapshot"].places if newest is not None else ():
            found = self._file.get(f"{place}/{newest}")
            if isinstance(found, h5py.Group):
                found.visititems(self._remember)

    def put(self, parent: Any, path: str, name: str, array: NDArray[Any], filters: Filters) -> None:
        """Store an array below the group ``parent`` at ``path``, or link to the one that is there already."""
        if array.nbytes < _LEAST:
            put(parent, name, array, filters)
            return
        content = content_hash(array)
        known = self._paths.get(content)
        if known is not None and (content in self._looked or self._is_still(known, content)):
            parent.links.create_hard(name.encode(), self._file.id, known.encode(), lcpl=make.unicode())
            self._paths.move_to_end(content)
            return
        make.attribute(put(parent, name, array, filters), CONTENT, content)
        self._paths[content] = f"{path}/{name}"
        self._looked.add(content)
        while len(self._paths) > _REMEMBERED:
            self._looked.discard(self._paths.popitem(last=False)[0])

    def _is_still(self, path: str, content: bytes) -> bool:
        """Whether the array at a path is what the hash beside it says: a program may have written into it."""
        found = self._file.get(path)
        if not isinstance(found, h5py.Dataset):
            return False
        try:
            same = content_hash(StoredArray(self._handle, found.id, path)()) == content
        except DamagedError:
            return False
        if same:
            self._looked.add(content)
        return same

    def _remember(self, _: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and CONTENT in item.attrs:
            self._paths[bytes(item.attrs[CONTENT])] = item.name


def content_hash(array: NDArray[Any]) -> bytes:
    """32 hexadecimal digits that arrays of the same dtype, shape and bytes have in common."""
    rows = np.ascontiguousarray(array)
    made = hashlib.blake2b(f"{rows.dtype.str}{rows.shape}".encode(), digest_size=16)
    made.update(rows.reshape(-1).view(np.uint8).data)
    return made.hexdigest().encode()


def content_of(dataset: Any) -> bytes | None:
    """The hash that stands at a dataset; None where it has none."""
    if not isinstance(dataset, h5d.DatasetID) or not h5a.exists(dataset, CONTENT.encode()):
        return None
    return bytes(h5py.Dataset(dataset).attrs[CONTENT])


def was_changed(handle: Handle, dataset: Any, where: str) -> bool:
    """Whether an array is no longer what it was when it was stored to be shared.

    Raises
    ------
    DamagedError
    """
    content = content_of(dataset)
    return content is not None and content_hash(StoredArray(handle, dataset, where)()) != content
