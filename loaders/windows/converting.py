"""A cache in HDF5 in place of a folder of ``.pt`` files, one a window."""

from __future__ import annotations

import os
from pathlib import Path

from loaders.windows.building import CacheReport, build
from loaders.windows.options import settings_of
from loaders.windows.plan import Plan
from loaders.windows.sources.find import find_subject
from loaders.windows.sources.source import Source
from loaders.windows.sources.tensors import TensorWindows, window_files
from recorder.errors import CacheNotFoundError, ReadError


def create_hdf5_from_pt_cache(
    window_cache_dir: str | os.PathLike[str] = "meg_windows_cache",
    subject_cache_dir: str | os.PathLike[str] | None = "meg_cache",
    window_size: int = 2000,
    stride: int = 500,
    hdf5_path: str | os.PathLike[str] = "meg_windows.hdf5",
    compression: str | None = None,
    *,
    dtype: str = "float16",
    normalisation: str = "window",
    epsilon: float = 1e-8,
    sampling_rate: float | None = None,
    overwrite: bool = False,
    verbose: bool = True,
) -> CacheReport:
    """Make a cache of the subjects that a folder of windows ``<subject>/<n>.pt`` has, sorted by name.

    The windows are cut anew from the subjects' recordings, which must give as many; of a folder of windows
    alone (``subject_cache_dir=None``) they are taken as they are. All else is as in
    :func:`loaders.windows.create_hdf5_cache`.

    Parameters
    ----------
    window_cache_dir : path
    subject_cache_dir : path or None
        Where ``<subject>.npz`` are; None takes the ``.pt`` files' own windows, which were normalised when
        they were made: the cache then records ``normalisation="none"``, whatever is given here.
    window_size, stride, hdf5_path, compression, dtype, normalisation, epsilon, sampling_rate, overwrite,
    verbose
        See :func:`loaders.windows.create_hdf5_cache`.

    Raises
    ------
    CacheNotFoundError
        A FileNotFoundError: there is no such folder, or no windows in it.
    Exception
        As :func:`loaders.windows.create_hdf5_cache`.
    """
    if subject_cache_dir is None:
        normalisation = "none"
    settings = settings_of(window_size, stride, compression, dtype, normalisation, epsilon, sampling_rate)
    folder = Path(window_cache_dir)
    if not folder.is_dir():
        raise CacheNotFoundError(f"Window cache not found: {folder}")
    counts = {place.name: len(window_files(place)) for place in sorted(folder.iterdir()) if place.is_dir()}
    counts = {name: count for name, count in counts.items() if count}
    if not counts:
        raise CacheNotFoundError(f"{folder} has no windows <subject>/<n>.pt")

    def source(name: str) -> Source:
        if subject_cache_dir is None:
            return TensorWindows(folder / name)
        return find_subject(name, Path(subject_cache_dir), None)

    def check(plan: Plan) -> None:
        if plan.windows != counts[plan.subject]:
            raise ReadError(
                f"it has {counts[plan.subject]} windows in {folder}, and its recording gives {plan.windows} "
                f"of {window_size} samples every {stride}"
            )

    return build(list(counts), source, settings, hdf5_path, overwrite=overwrite, verbose=verbose, check=check)
