"""Adjacency and weights: dense, or as compressed sparse rows where that is how they came or what they are."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5g, h5o
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.layout import ENCODING, WEIGHTS_CSR
from recorder.format.sparse import DENSE, Csr, from_csr, is_sparse, to_csr
from recorder.format.storage import GIVEN
from recorder.h5 import make
from recorder.h5.reading.guard import attributes, damage
from recorder.h5.store.arrays import Filters, StoredArray, admit, stored
from recorder.h5.store.attributes import put_shape
from recorder.h5.store.handle import Handle
from recorder.h5.store.sharing import Shared

_LEAST = 4096
"""Values below which a matrix is stored as it is."""
_INDEX_BYTES = 2
"""What an entry's place takes, once deflated."""
COLUMNS = ("indptr", "indices", "data")

Matrix = NDArray[Any] | Csr


def plan_matrix(where: str, value: Any) -> Matrix:
    """A matrix as it will be stored: sparse ones, and dense ones that are mostly zeros, as CSR.

    Raises
    ------
    InputError
        It cannot be stored.
    """
    if is_sparse(value):
        return to_csr(value, where)
    array = admit(where, value)
    if array.ndim != 2 or array.size < _LEAST or not _mostly_zero(array):
        return array
    return to_csr(array, where)


def _mostly_zero(array: NDArray[Any]) -> bool:
    width = array.dtype.itemsize
    # A sample settles it for most: NaN and −0.0 count as entries later, and are as rare here as there.
    entries = int(np.count_nonzero(array))
    return 2 * entries * (width + _INDEX_BYTES) < array.size * width


def shape_of(matrix: Matrix) -> tuple[int, ...]:
    """The shape that was given."""
    return tuple(matrix.shape)


def put_matrix(parent: Any, path: str, name: str, matrix: Matrix, filters: Filters, shared: Shared) -> None:
    """Store it at ``name`` below the group ``parent``, whose path is ``path``."""
    if not isinstance(matrix, Csr):
        shared.put(parent, path, name, matrix, filters)
        return
    group = make.group(parent, name.encode())
    make.attribute(group, ENCODING, WEIGHTS_CSR)
    make.attribute(group, GIVEN, matrix.given)
    put_shape(group, matrix.shape)
    for column in COLUMNS:
        shared.put(group, f"{path}/{name}", column, getattr(matrix, column), filters)


class StoredMatrix:
    """A matrix whose bytes were found; called, it is what was given: an array, or SciPy's class.

    Raises
    ------
    DamagedError
    """

    def __init__(self, handle: Handle, parent: Any, name: str, where: str) -> None:
        with damage(where):
            found = h5o.open(parent, name.encode())
        self._facts: dict[str, Any] = {}
        self._arrays: list[StoredArray] = []
        if not isinstance(found, h5g.GroupID):
            self._arrays.append(StoredArray(handle, found, where))
            return
        self._facts = attributes(h5py.Group(found))
        if self._facts.get(ENCODING) != WEIGHTS_CSR:
            raise DamagedError(f"{where}: a matrix in a form that is not known")
        self._arrays += [stored(handle, found, column, f"{where}/{column}") for column in COLUMNS]

    def __call__(self) -> Any:
        """The matrix, fresh."""
        parts = [array() for array in self._arrays]
        if not self._facts:
            return parts[0]
        indptr, indices, data = parts
        return from_csr(indptr, indices, data, self._facts["shape"], self._facts.get(GIVEN, DENSE))
