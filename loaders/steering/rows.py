"""A tensor that stands compressed in a file: its rows are read when they are asked for."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from recorder.h5.reading.scattered import RowFile


class StoredRows:
    """Stands for a tensor on the CPU; indexing it reads, and gives fresh tensors.

    Attributes
    ----------
    shape : torch.Size
    dtype : torch.dtype
    device : torch.device
    """

    def __init__(self, rows: RowFile) -> None:
        self._rows = rows
        self.shape = torch.Size(rows.shape)
        self.dtype = torch.from_numpy(np.empty(0, rows.dtype)).dtype
        self.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    def take(self, rows: NDArray[Any]) -> torch.Tensor:
        """These rows, as :meth:`recorder.h5.reading.scattered.RowFile.read` gives them."""
        return torch.from_numpy(self._rows.read(rows))

    def __getitem__(self, index: int | slice | torch.Tensor | Sequence[int] | NDArray[Any]) -> torch.Tensor:
        if isinstance(index, slice):
            return self.take(np.arange(*index.indices(len(self))))
        if isinstance(index, torch.Tensor | np.ndarray | Sequence) and np.ndim(index):
            rows = np.asarray(index)
            return self.take(rows.ravel()).reshape(*rows.shape, *self.shape[1:])
        row = range(len(self))[operator.index(index)]  # type: ignore[arg-type]
        return self.take(np.array([row]))[0]

    def __repr__(self) -> str:
        return f"StoredRows({tuple(self.shape)}, {self.dtype}, {self._rows.path}: {self._rows.dataset})"

    def close(self) -> None:
        """Close this process's file."""
        self._rows.close()
