"""The course of a quantity in a fixed number of means, however long it goes on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCKS = "▁▂▃▄▅▆▇█"


class Course:
    """Means of as many neighbouring values each, at most ``bins`` of them.

    When there are twice as many, neighbours are joined: memory is constant, and nothing is forgotten.
    """

    def __init__(self, bins: int = 60) -> None:
        self._bins, self._width = bins, 1
        self._sums = np.zeros(0)
        self._open = np.zeros(0)
        self.count, self.total = 0, 0.0

    def add(self, values: NDArray[np.floating]) -> None:
        """More values, in order; what is no finite number counts as none."""
        values = values[np.isfinite(values)].astype(np.float64)
        self.count += len(values)
        self.total += float(values.sum())
        self._open = np.concatenate([self._open, values])
        self._settle()
        while len(self._open) >= self._width:
            # There is no more room: of two neighbours one.
            self._sums = self._sums.reshape(-1, 2).sum(axis=1)
            self._width *= 2
            self._settle()

    def means(self) -> NDArray[np.float64]:
        """The course so far, oldest first; the last one may stand for fewer values."""
        means = self._sums / self._width
        return np.append(means, self._open.mean()) if len(self._open) else means

    def _settle(self) -> None:
        whole = min(len(self._open) // self._width, 2 * self._bins - len(self._sums))
        taken, self._open = np.split(self._open, [whole * self._width])
        self._sums = np.concatenate([self._sums, taken.reshape(-1, self._width).sum(axis=1)])


def sparkline(values: NDArray[np.float64], width: int) -> str:
    """The last ``width`` values as blocks from the smallest to the largest of them; "" of none."""
    shown = values[-width:]
    if not len(shown):
        return ""
    low, high = float(shown.min()), float(shown.max())
    if high <= low:
        return BLOCKS[0] * len(shown)
    levels = ((shown - low) / (high - low) * (len(BLOCKS) - 1)).round().astype(int)
    return "".join(BLOCKS[level] for level in levels)
