"""Pairs of windows from a cache of them in HDF5."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import torch

from loaders.windows.chance import Transforms
from loaders.windows.groups import Groups
from loaders.windows.loading import load
from loaders.windows.pairs import SubjectPairs
from recorder.h5.windows.reading import WindowFile


class HDF5SubjectPairDataset(SubjectPairs):
    """Two different windows of a subject, from a cache that ``create_hdf5_cache`` made, or the older system.

    Item ``i`` is ``(window, window)`` of subject ``i``, drawn at random; item ``(i, w)`` begins with window
    ``w``. Both are float32 tensors (channels, samples), whatever is stored. Subjects with a single window
    are left out. Any number of workers, started in any way, may read; each process opens the file at its
    first item.

    Parameters
    ----------
    hdf5_path : path
    transforms : callable or sequence of callables, optional
        Applied to each window.
    max_subjects : int, optional
        The first so many subjects.
    seed : int, optional
        With one, items depend on it and on :meth:`set_epoch` alone, transforms that draw from torch
        included. Without one each reading draws anew.
    verbose : bool
        Print what was found.

    Attributes
    ----------
    subject_names : list of str
    subject_start_indices, subject_counts : int64 array
        First row in the file, and number of windows.
    total_windows : int
    attributes : dict
        What the cache records: ``window_size``, ``stride``, ``normalisation``, ``dtype`` …

    Raises
    ------
    CacheNotFoundError
        A FileNotFoundError: there is no file.
    DamagedError
        It is no cache of windows, or its subjects were shifted when it was made.
    ReadError
        No subject has two windows.
    """

    def __init__(
        self,
        hdf5_path: str | os.PathLike[str] = "meg_windows.hdf5",
        transforms: Transforms = None,
        max_subjects: int | None = None,
        *,
        seed: int | None = None,
        verbose: bool = True,
    ) -> None:
        if verbose:
            print(f"Loading HDF5 dataset from {os.fspath(hdf5_path)}...")
        self._file = file = WindowFile(hdf5_path)
        # Whose rows are whose is checked here.
        Groups(file.names, file.starts, file.counts)
        super().__init__(file.names, file.counts, transforms, max_subjects, seed, file.path)
        self.subject_start_indices = file.starts[self._kept]
        self.attributes: dict[str, Any] = file.attributes
        if verbose:
            print(f"✓ Loaded {len(self)} subjects")
            print(f"  Total windows: {self.total_windows}")
            print(f"  Average windows per subject: {self.total_windows / len(self):.1f}")

    def _windows(self, places: Sequence[tuple[int, int]]) -> Sequence[torch.Tensor]:
        rows = [int(self.subject_start_indices[subject]) + number for subject, number in places]
        return load(self._file, rows)

    def close(self) -> None:
        """Close this process's file. Idempotent."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
