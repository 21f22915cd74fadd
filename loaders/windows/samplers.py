"""Batches in which no subject comes twice, the same for a seed in every process.

Both samplers count epochs themselves, tell the dataset, and take what ``set_epoch`` says instead. With
``num_replicas`` each process trains on a part of each epoch, all on equally many batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from loaders.windows.drawing import generator
from recorder.errors import OptionError


class _Epochs:
    """Counts epochs, and tells a dataset."""

    def __init__(self, dataset: Any, batch_size: int, seed: int, num_replicas: int, rank: int) -> None:
        if batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, got {batch_size}")
        if seed < 0:
            raise OptionError(f"seed must be at least 0, got {seed}")
        if num_replicas < 1 or not 0 <= rank < num_replicas:
            raise OptionError(
                f"rank must be from 0 to num_replicas - 1, got rank {rank} of {num_replicas} replicas"
            )
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.num_replicas, self.rank = num_replicas, rank
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration is; without it each one is the next epoch."""
        if epoch < 0:
            raise OptionError(f"an epoch is at least 0, got {epoch}")
        self._epoch = epoch

    def _next(self) -> np.random.Generator:
        epoch, self._epoch = self._epoch, self._epoch + 1
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)
        return generator(self.seed, epoch)


class UniqueSubjectBatchSampler(_Epochs, Sampler[list[int]]):
    """Every subject once an epoch, in random order.

    Parameters
    ----------
    dataset
        One of the datasets of pairs; of others, each item is a subject.
    batch_size : int
    drop_last : bool
        Leave out a batch that would be smaller.
    seed : int
    num_replicas, rank : int
        Of distributed training. Some subjects come twice then where there are not as many for each.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool = False,
        *,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(dataset, batch_size, seed, num_replicas, rank)
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        order = self._next().permutation(len(self.dataset))
        mine = np.resize(order, self._share * self.num_replicas)[self.rank :: self.num_replicas]
        for number in range(len(self)):
            yield mine[number * self.batch_size : (number + 1) * self.batch_size].tolist()

    def __len__(self) -> int:
        return self._share // self.batch_size if self.drop_last else -(-self._share // self.batch_size)

    @property
    def _share(self) -> int:
        return -(-len(self.dataset) // self.num_replicas)


class WindowExhaustiveBatchSampler(_Epochs, Sampler[list[tuple[int, int]]]):
    """Every window of every subject once an epoch, as the first of a pair; no subject twice in a batch.

    There are as few batches as that allows, of equal sizes but for one: as many as the subject with most
    windows has, or as ``batch_size`` asks for.

    Parameters
    ----------
    dataset
        One of the datasets of pairs.
    batch_size : int
        At most so many.
    seed : int
    num_replicas, rank : int
        Of distributed training: each window is in one batch of one replica. Only where there are not windows
        enough for equally many batches does the first one come again.

    Raises
    ------
    OptionError
        There are fewer windows than replicas, or a parameter cannot be what it is.
    """

    def __init__(
        self, dataset: Any, batch_size: int, *, seed: int = 0, num_replicas: int = 1, rank: int = 0
    ) -> None:
        super().__init__(dataset, batch_size, seed, num_replicas, rank)
        if self._total < num_replicas:
            raise OptionError(f"{self._total} windows are not enough for {num_replicas} replicas")

    @property
    def _total(self) -> int:
        return int(self.dataset.subject_counts.sum())

    def __len__(self) -> int:
        fewest = max(int(self.dataset.subject_counts.max()), -(-self._total // self.batch_size))
        return math.ceil(fewest / self.num_replicas)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng, batches = self._next(), len(self) * self.num_replicas
        left = self.dataset.subject_counts.copy()
        orders = [rng.permutation(count) for count in left.tolist()]
        # Sizes that fit as long as each batch has every subject that must be in all that are left: such
        # subjects are at most so many as the average batch has.
        first: list[tuple[int, int]] = []
        for number in range(batches):
            remaining = batches - number
            batch = first
            if size := -(-int(left.sum()) // remaining):
                chosen = _drawn(rng, left, size, remaining)
                batch = [(int(s), int(orders[s][left[s] - 1])) for s in chosen]
                left[chosen] -= 1
            first = first or batch
            if number % self.num_replicas == self.rank:
                yield batch


def _drawn(rng: np.random.Generator, left: Any, size: int, remaining: int) -> Any:
    """So many distinct subjects, those with more windows left more often."""
    with np.errstate(divide="ignore"):
        keys = np.log(rng.random(len(left))) / left
    keys[left == 0] = -np.inf
    keys[left == remaining] = np.inf
    chosen = np.argpartition(keys, len(keys) - size)[len(keys) - size :]
    return rng.permutation(chosen)
