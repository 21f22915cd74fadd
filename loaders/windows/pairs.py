"""Pairs of windows of one subject, which contrastive training pulls together."""

from __future__ import annotations

import abc
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from loaders.windows.chance import Chance, Transforms
from recorder.errors import OptionError, ReadError

Index = int | tuple[int, int]
"""A subject, or a subject and the first of its two windows."""
Pair = tuple[torch.Tensor, torch.Tensor]


class SubjectPairs(Dataset[Pair], abc.ABC):
    """Subjects with two windows or more; an item is two different windows of one.

    Attributes
    ----------
    subject_names : list of str
    subject_counts : int64 array
        Windows of each subject.
    total_windows : int
    transforms : callable, sequence of callables, or None
    """

    def __init__(
        self,
        names: Sequence[str],
        counts: NDArray[np.int64],
        transforms: Transforms,
        max_subjects: int | None,
        seed: int | None,
        where: Any,
    ) -> None:
        if max_subjects is not None and max_subjects < 1:
            raise OptionError(f"max_subjects must be None or at least 1, got {max_subjects}")
        self._kept = np.flatnonzero(np.asarray(counts) >= 2)[:max_subjects]
        if not len(self._kept):
            raise ReadError(
                f"{where}: a pair is two windows of a subject, and none of its {len(names)} subjects has two"
            )
        self.subject_names: list[str] = [names[number] for number in self._kept.tolist()]
        self.subject_counts = np.asarray(counts, np.int64)[self._kept]
        self.total_windows = int(self.subject_counts.sum())
        self.transforms = transforms
        self._chance = Chance(seed)

    def __len__(self) -> int:
        return len(self._kept)

    def set_epoch(self, epoch: int) -> None:
        """With a seed: draw other pairs than in other epochs. Workers that live on see it as well."""
        self._chance.epoch = epoch

    def get_subject_id(self, index: int) -> str:
        """The subject of an item."""
        return self.subject_names[index]

    def __getitem__(self, index: Index) -> Pair:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[Index]) -> list[Pair]:
        """Several items, read at once."""
        drawn = [self._draw(index) for index in indices]
        windows = self._windows([(subject, one) for subject, pair, _ in drawn for one in pair])
        items = []
        for number, (_, _, rng) in enumerate(drawn):
            first, second = (
                self._chance.apply(self.transforms, window, rng)
                for window in windows[2 * number : 2 * number + 2]
            )
            items.append((first, second))
        return items

    def _draw(self, index: Index) -> tuple[int, tuple[int, int], np.random.Generator]:
        if not isinstance(index, tuple | list):
            subject = _within(index, len(self), "subject")
            count = int(self.subject_counts[subject])
            rng = self._chance.of(subject)
            first = int(rng.integers(count))
        else:
            subject = _within(index[0], len(self), "subject")
            count = int(self.subject_counts[subject])
            first = _within(index[1], count, f"window of {self.subject_names[subject]}")
            rng = self._chance.of(subject, 1 + first)
        other = int(rng.integers(count - 1))
        return subject, (first, other + (other >= first)), rng

    @abc.abstractmethod
    def _windows(self, places: Sequence[tuple[int, int]]) -> Sequence[torch.Tensor]:
        """float32 windows, by subject and number."""


def _within(index: Any, count: int, what: str) -> int:
    number = operator.index(index)
    if not -count <= number < count:
        raise IndexError(f"{what} {number} of {count}")
    return number % count
