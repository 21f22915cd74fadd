"""Which kind of steering each sample gets in an epoch: a table, which no order of reading changes.

One draw for each sample, in the order of their numbers, from ``numpy.random.default_rng(42 + epoch)``: that
is what the original gives when its samples are read once, one after the other, and what all workers
agree on.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SEED = 42


def draw(epoch: int, count: int, probabilities: Mapping[str, float]) -> NDArray[np.int64]:
    """The code of each sample's kind of steering, int64 from 0 on in the order of the mapping."""
    ends = np.cumsum(list(probabilities.values()))
    # As Generator.choice(p=...) does it, for all of them at once.
    draws = np.random.default_rng(SEED + epoch).random(count)
    return np.searchsorted(ends / ends[-1], draws, side="right").astype(np.int64)
