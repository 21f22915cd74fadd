"""Random draws that depend on a seed and on what is drawn for, never on who draws or in which order.

Generators that are copied into the workers of a DataLoader give all of them the same sequence, and one that
is shared gives what the order of reading makes of it. Here each draw has a generator of its own, seeded by
numbers that name it: see NumPy's ``SeedSequence``, which hashes them.
"""

from __future__ import annotations

import numpy as np

SEED_BITS = 64


def generator(seed: int, *place: int) -> np.random.Generator:
    """The generator of one draw.

    Parameters
    ----------
    seed : int
        Of the dataset; 0 or more.
    *place : int
        What the draw is for, such as epoch and item; 0 or more each.
    """
    return np.random.default_rng([seed, *place])
