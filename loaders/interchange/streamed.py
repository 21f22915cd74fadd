"""Columns of a recording as what HDMF writes piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.data_utils import DataChunkIterator, GenericDataChunkIterator
from numpy.typing import NDArray

from loaders.interchange.columns import Column

_CHUNK = 1 << 18
_BUFFER = 32
"""Chunks that are read at once."""

_TEXTS = 1024

Change = Callable[[NDArray[Any]], NDArray[Any]]


class Rows(GenericDataChunkIterator):
    """The rows of a column, after ``change`` has made them ``dtype``."""

    def __init__(self, column: Column, dtype: np.dtype[Any], change: Change | None) -> None:
        self._column, self._dtype_of_all, self._change = column, dtype, change
        rows = min(len(column), max(1, _CHUNK // max(1, column.row_bytes)))
        chunk = (rows, *column.shape[1:])
        super().__init__(
            chunk_shape=chunk, buffer_shape=(min(len(column), rows * _BUFFER), *column.shape[1:])
        )

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        found = self._column.read(selection[0].start, selection[0].stop)
        return (found if self._change is None else self._change(found))[(slice(None), *selection[1:])]

    def _get_maxshape(self) -> tuple[int, ...]:
        return self._column.shape

    def _get_dtype(self) -> np.dtype[Any]:
        return self._dtype_of_all


def rows(column: Column, dtype: Any = None, change: Change | None = None) -> Any:
    """What a container of HDMF takes as data: read and deflated piece by piece when it is written."""
    kind = column.dtype if dtype is None else np.dtype(dtype)
    if 0 in column.shape:
        return np.empty(column.shape, kind if kind.kind != "O" else np.str_)
    if kind.kind == "O":
        return H5DataIO(DataChunkIterator(data=_each(column), buffer_size=_TEXTS), chunks=(_TEXTS,))
    return H5DataIO(Rows(column, kind, change), compression="gzip", compression_opts=4, shuffle=True)


def _each(column: Column) -> Iterator[Any]:
    for first in range(0, len(column), _TEXTS):
        yield from column.read(first, min(first + _TEXTS, len(column)))
