"""Weight matrices as compressed sparse rows, and back into the form they came in.

What counts as an entry: of a dense matrix everything whose bits are not all zero (so NaN and −0.0
stay), of a sparse matrix whatever it holds explicitly. Nothing is sorted or summed beyond what
SciPy's own conversion to CSR does (``coo`` sums duplicates; ``dia`` leaves out zeros).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import as_array
from recorder.errors import DamagedError, StreamShapeError

DENSE = "dense"
_WHERE = "network_structure/initial_weights"


@dataclass(frozen=True, slots=True, eq=False)
class Csr:
    """A matrix of ``shape``: row *i* has ``data[indptr[i]:indptr[i + 1]]`` in these ``indices``.

    ``indptr`` int64 (rows + 1), ``indices`` int64 (entries), ``data`` (entries) in the dtype that
    came. ``given`` is ``dense`` or the SciPy class that came, for instance ``csr_array``.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int64]
    data: NDArray[Any]
    shape: tuple[int, int]
    given: str


def is_sparse(value: Any) -> bool:
    """Whether ``value`` is one of SciPy's sparse matrices or arrays; SciPy is not imported."""
    return type(value).__module__.partition(".")[0] == "scipy" and hasattr(value, "tocsr")


def to_csr(matrix: Any, where: str = _WHERE) -> Csr:
    """A dense (rows, columns) matrix or a SciPy sparse one as CSR; nothing of it is kept.

    Raises
    ------
    StreamTypeError
        Values that a recording cannot hold.
    StreamShapeError
        Not two dimensions.
    """
    if not is_sparse(matrix):
        return _from_dense(as_array(where, None, matrix), where)
    if len(matrix.shape) != 2:
        raise StreamShapeError(where, "a sparse matrix of 2 dimensions", f"shape {matrix.shape}")
    rows = matrix.tocsr()
    return Csr(
        np.array(rows.indptr, np.int64),
        np.array(rows.indices, np.int64),
        np.array(as_array(where, None, rows.data)),
        (int(matrix.shape[0]), int(matrix.shape[1])),
        type(matrix).__name__,
    )


def _from_dense(array: NDArray[Any], where: str) -> Csr:
    if array.ndim != 2:
        raise StreamShapeError(where, "a matrix of 2 dimensions", f"shape {array.shape}")
    rows, columns = array.shape
    flat = np.ascontiguousarray(array).reshape(-1)
    cells = np.flatnonzero(_has_bits(flat))
    row, indices = np.divmod(cells, max(columns, 1))
    indptr = np.zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(row, minlength=rows), out=indptr[1:])
    return Csr(indptr, indices.astype(np.int64), flat[cells], (rows, columns), DENSE)


def _has_bits(flat: NDArray[Any]) -> NDArray[np.bool_]:
    if flat.dtype.kind in "biu":
        return flat.astype(np.bool_)
    if flat.dtype.kind == "c":
        halves = flat.view(f"u{flat.dtype.itemsize // 2}").reshape(-1, 2)
        return np.asarray(halves.any(axis=1))
    return np.asarray(flat.view(f"u{flat.dtype.itemsize}") != 0)


def from_csr(indptr: Any, indices: Any, data: Any, shape: Any, given: str = DENSE) -> Any:
    """What was given to :func:`to_csr`: a dense array, or a matrix of SciPy's class ``given``.

    A bare format name (``csr``) gives that format's sparse array. Dense results are fresh.

    Raises
    ------
    DamagedError
        The columns do not describe a matrix of that shape.
    """
    indptr, indices, data = (np.asarray(column) for column in (indptr, indices, data))
    rows, columns = (int(n) for n in shape)
    _check(indptr, indices, data, rows, columns)
    if given == DENSE:
        dense = np.zeros((rows, columns), data.dtype)
        dense[np.repeat(np.arange(rows), np.diff(indptr)), indices] = data
        return dense
    import scipy.sparse

    name, _, kind = given.partition("_")
    if name not in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil") or kind not in ("", "array", "matrix"):
        raise DamagedError(f"{_WHERE}: unknown sparse format {given[:40]!r}")
    make = scipy.sparse.csr_matrix if kind == "matrix" else scipy.sparse.csr_array
    matrix: Any = make((data, indices, indptr), shape=(rows, columns))
    return matrix.asformat(name)


def _check(indptr: NDArray[Any], indices: NDArray[Any], data: NDArray[Any], rows: int, columns: int) -> None:
    if any(column.ndim != 1 for column in (indptr, indices, data)):
        raise DamagedError(f"{_WHERE}: columns of more than one dimension")
    ends_fit = len(indptr) == rows + 1 and indptr[0] == 0 and indptr[-1] == len(indices) == len(data)
    if not ends_fit or (np.diff(indptr) < 0).any():
        raise DamagedError(f"{_WHERE}: indptr does not cut {len(data)} entries into {rows} rows")
    if len(indices) and not 0 <= indices.min() <= indices.max() < columns:
        raise DamagedError(f"{_WHERE}: column indices outside 0 to {columns - 1}")


def admit_vector(weights: Any, where: str = _WHERE) -> NDArray[Any]:
    """A one-dimensional weight vector, as :func:`recorder.admission.as_array` makes it.

    Raises
    ------
    StreamTypeError, StreamShapeError
    """
    array = as_array(where, None, weights)
    if array.ndim != 1:
        raise StreamShapeError(where, "1 or 2 dimensions, or a dict of columns", f"shape {array.shape}")
    return array
