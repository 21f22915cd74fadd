"""Windows that are a ``.pt`` file each, ``<subject>/<n>.pt``: what a cache in HDF5 replaces."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from loaders.windows.chance import Chance, Transforms
from loaders.windows.pairs import Pair, SubjectPairs
from loaders.windows.sources.tensors import load_tensor, numpy_of, window_files
from recorder.errors import CacheNotFoundError, OptionError, ReadError


class SubjectPairDataset(SubjectPairs):
    """Two different windows of a subject, from ``<subject>/<n>.pt`` files.

    Items are those of :class:`HDF5SubjectPairDataset`.

    Parameters
    ----------
    window_cache_dir : path
    transforms, max_subjects, seed
        As there.

    Raises
    ------
    CacheNotFoundError
        A FileNotFoundError: there is no such folder.
    ReadError
        No subject has two windows.
    """

    def __init__(
        self,
        window_cache_dir: str | os.PathLike[str],
        transforms: Transforms = None,
        max_subjects: int | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        subjects = subject_folders(Path(window_cache_dir).absolute())
        counts = np.array([len(files) for files in subjects.values()], np.int64)
        super().__init__(list(subjects), counts, transforms, max_subjects, seed, window_cache_dir)
        self._files = [subjects[name] for name in self.subject_names]

    def _windows(self, places: Sequence[tuple[int, int]]) -> Sequence[torch.Tensor]:
        return [_window(self._files[subject][number]) for subject, number in places]


class WindowMEG_Dataset(Dataset[Pair]):  # noqa: N801 - the name that it is known by
    """Two views of one window, each transformed for itself, from ``<subject>/<n>.pt`` files.

    Parameters
    ----------
    window_cache_dir : path
    transforms : callable or sequence of callables
        What makes the views differ.
    max_files : int, optional
        The first so many windows.
    seed : int, optional
        As of :class:`HDF5SubjectPairDataset`.

    Raises
    ------
    CacheNotFoundError
        A FileNotFoundError: there is no such folder.
    ReadError
        There are no windows in it.
    OptionError
        No transforms were given.
    """

    def __init__(
        self,
        window_cache_dir: str | os.PathLike[str],
        transforms: Transforms,
        max_files: int | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        if transforms is None:
            raise OptionError("transforms are what two views of a window differ by; got None")
        if max_files is not None and max_files < 1:
            raise OptionError(f"max_files must be None or at least 1, got {max_files}")
        subjects = subject_folders(Path(window_cache_dir).absolute())
        self.files = [file for files in subjects.values() for file in files][:max_files]
        if not self.files:
            raise ReadError(f"{window_cache_dir} has no windows <subject>/<n>.pt")
        self.transforms = transforms
        self._chance = Chance(seed)

    def __len__(self) -> int:
        return len(self.files)

    def set_epoch(self, epoch: int) -> None:
        """With a seed: other views than in other epochs."""
        self._chance.epoch = epoch

    def __getitem__(self, index: int) -> Pair:
        number = range(len(self.files))[index]
        window, rng = _window(self.files[number]), self._chance.of(number)
        first = self._chance.apply(self.transforms, window.clone(), rng)
        return first, self._chance.apply(self.transforms, window, rng)


def subject_folders(folder: Path) -> dict[str, list[Path]]:
    """The windows of each subject, by name.

    Raises
    ------
    CacheNotFoundError
        There is no such folder.
    """
    if not folder.is_dir():
        raise CacheNotFoundError(f"Window cache not found: {folder}")
    found = {place.name: window_files(place) for place in sorted(folder.iterdir()) if place.is_dir()}
    return {name: files for name, files in found.items() if files}


def _window(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(numpy_of(load_tensor(path), path), np.float32))
