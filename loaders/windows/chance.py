"""What is drawn for an item of a dataset: by its place where there is a seed, else anew each time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from loaders.windows.drawing import SEED_BITS, generator
from recorder.errors import OptionError

Transforms = Callable[[torch.Tensor], torch.Tensor] | Sequence[Callable[[torch.Tensor], torch.Tensor]] | None


class Chance:
    """The generators of a dataset's items.

    Parameters
    ----------
    seed : int or None
        With a seed, what is drawn depends on it, the epoch and the item, and not on workers, their number
        or the order of reading. Without one each process draws anew at each reading.

    Raises
    ------
    OptionError
        A seed below 0.
    """

    def __init__(self, seed: int | None) -> None:
        if seed is not None and (
            isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0
        ):
            raise OptionError(f"seed must be None or a whole number of at least 0, got {seed!r}")
        self.seed = None if seed is None else int(seed)
        # In shared memory: workers that live on see the epoch that is set in their parent.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._own: np.random.Generator | None = None
        self._pid = -1

    @property
    def epoch(self) -> int:
        """The epoch, for all processes."""
        return int(self._epoch[0])

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if epoch < 0:
            raise OptionError(f"an epoch is at least 0, got {epoch}")
        self._epoch[0] = epoch

    def of(self, *place: int) -> np.random.Generator:
        """The generator for an item."""
        if self.seed is not None:
            return generator(self.seed, self.epoch, *place)
        if self._own is None or self._pid != os.getpid():
            # A forked worker would draw what its parent and siblings draw.
            self._own, self._pid = np.random.default_rng(), os.getpid()
        return self._own

    def apply(self, transforms: Transforms, window: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Transform a window, with torch's generator seeded from ``rng`` where there is a seed."""
        if transforms is None:
            return window
        if self.seed is None:
            return _applied(transforms, window)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(rng.integers(2 ** (SEED_BITS - 1))))
            return _applied(transforms, window)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_own": None}


def _applied(transforms: Transforms, window: torch.Tensor) -> torch.Tensor:
    if callable(transforms):
        return transforms(window)
    for transform in transforms or ():
        window = transform(window)
    return window
