"""The time axis of a picture: how it is cut into bins, and which timesteps are read for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

BINS = 600
"""At most; about the pixels that a plot is wide."""
SAMPLED_BINS = 96
"""Where not everything is read: each bin costs a chunk of its own."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Bins of a window of timesteps.

    Attributes
    ----------
    edges : float64 (bins + 1,)
        A bin holds ``edges[i] <= timestep < edges[i + 1]``.
    spans : tuple of (start, stop)
        The timesteps that are read, half-open and ascending.
    whole : bool
        Whether that is all of the window; else a part of every bin is read.
    """

    edges: NDArray[np.float64]
    spans: tuple[tuple[int, int], ...]
    whole: bool

    @classmethod
    def over(cls, start: int, stop: int, allowed: int, interval: int = 1) -> Self:
        """Of the window ``start <= timestep < stop``, of which so many timesteps may be read.

        What is sampled has a row in so many timesteps: at least as many are read together.
        """
        steps = max(1, stop - start)
        if steps <= max(allowed, SAMPLED_BINS):
            return cls(_edges(start, steps, min(BINS, steps)), ((start, start + steps),), True)
        bins = max(1, min(SAMPLED_BINS, allowed // interval))
        edges = _edges(start, steps, bins)
        each = max(interval, allowed // bins)
        starts = np.ceil(edges[:-1]).astype(np.int64).tolist()
        ends = np.ceil(edges[1:]).astype(np.int64).tolist()
        return cls(edges, tuple((a, min(a + each, b)) for a, b in zip(starts, ends, strict=True)), False)

    @property
    def bins(self) -> int:
        """How many."""
        return len(self.edges) - 1

    @property
    def middles(self) -> NDArray[np.float64]:
        """The middle of each bin, float64 ``(bins,)``."""
        return (self.edges[:-1] + self.edges[1:]) / 2

    def bin_of(self, timesteps: NDArray[np.int64]) -> NDArray[np.int64]:
        """The bin of timesteps within the window, int64."""
        found = np.searchsorted(self.edges, timesteps, side="right") - 1
        return np.clip(found, 0, self.bins - 1)


def _edges(start: int, steps: int, bins: int) -> NDArray[np.float64]:
    return np.linspace(start, start + steps, bins + 1)
