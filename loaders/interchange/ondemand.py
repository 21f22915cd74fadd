"""Columns of a recording as xarray's lazy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from loaders.interchange.columns import Column, columns, spans

if TYPE_CHECKING:
    from loaders.episode import EpisodeData


class OnDemand(BackendArray):
    """A column that is read, some rows at a time, when its values are asked for; can be pickled.

    ``rows`` leaves the column's last ones away.
    """

    def __init__(self, episode: EpisodeData, name: str, key: str, column: Column, rows: int) -> None:
        self._episode, self._name, self._key = episode, name, key
        self._column: Column | None = column
        self.shape = (rows, *column.shape[1:])
        self.dtype = column.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        if self._column is None:
            self._column = columns(self._episode, self._name)[self._key]
        rows, rest = key[0], key[1:]
        if not isinstance(rows, slice):
            return np.asarray(self._column.read(int(rows), int(rows) + 1)[(0, *rest)])
        wanted = range(self.shape[0])[rows]
        low, high = (min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1]) + 1) if wanted else (0, 0)
        step = abs(wanted.step)
        parts = []
        for first, last in spans(high - low, self._column.row_bytes):
            block = self._column.read(low + first, low + last)
            parts.append(block[(slice(-first % step, None, step), *rest)])
        found: NDArray[Any] = np.concatenate(parts)
        return found if wanted.step > 0 else found[::-1]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_column": None}
