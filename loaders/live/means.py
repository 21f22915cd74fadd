"""Means of so many values in a row, the same to the last bit however the values come in parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class MeansInARow:
    """Means over windows of ``steps`` values, of which each begins one value after the one before.

    A window lies in two blocks of ``steps`` values, counted from the first value of all: its sum is that of
    the one's end and of the other's beginning. Sums only add, so a value of 1e300, a NaN or an infinity is
    in the windows that have it and in no other.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._kept: Floats = np.empty(0)
        self._next = 0

    def after(self, values: NDArray[Any]) -> Floats:
        """Means of the windows that end within these values, ``(values,)`` or less at the beginning."""
        steps, known = self._steps, np.concatenate([self._kept, np.asarray(values, np.float64)])
        starts = np.arange(self._next, max(self._next, len(known) - steps + 1))
        if not len(starts):
            self._kept = known
            return np.empty(0)
        blocks = np.zeros((-(-len(known) // steps), steps))
        blocks.reshape(-1)[: len(known)] = known
        with np.errstate(invalid="ignore", over="ignore"):
            ends = np.cumsum(blocks[:, ::-1], axis=1)[:, ::-1].reshape(-1)
            beginnings = np.cumsum(blocks, axis=1).reshape(-1)
            sums = ends[starts]
            split = starts % steps != 0
            sums[split] += beginnings[starts[split] + steps - 1]
        whole = int(starts[-1] + 1) // steps * steps
        self._kept, self._next = known[whole:].copy(), int(starts[-1] + 1) - whole
        return np.asarray(sums / steps, np.float64)
