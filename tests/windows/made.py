"""Recordings and caches for the tests here, small ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from loaders.windows import create_hdf5_cache

CHANNELS, WINDOW, STRIDE = 5, 40, 10


def samples(number: int, count: int = 300, channels: int = CHANNELS) -> Any:
    rng = np.random.default_rng(number)
    return np.cumsum(rng.standard_normal((channels, count)), axis=1) + 10 * number


def recordings(folder: Path, count: int = 4, length: int = 300) -> list[str]:
    """``.npz`` files of so many subjects; returns their names. Each is longer than the one before."""
    folder.mkdir(exist_ok=True)
    names = [f"sub-{number:02d}" for number in range(count)]
    for number, name in enumerate(names):
        np.savez(folder / f"{name}.npz", data=samples(number, length + 7 * number))
    return names


def expected(data: Any, window: int = WINDOW, stride: int = STRIDE) -> Any:
    """Windows by the documented formula."""
    cut = [data[:, a : a + window] for a in range(0, data.shape[1] - window + 1, stride)]
    return np.array(
        [(w - w.mean(1, keepdims=True)) / (w.std(1, keepdims=True) + 1e-8) for w in cut], np.float32
    )


def made(folder: Path, names: Any, **options: Any) -> Any:
    """A cache at ``folder/cache.h5`` from ``folder/in``."""
    options = {
        "window_size": WINDOW,
        "stride": STRIDE,
        "dtype": "float32",
        "verbose": False,
        "subject_cache_dir": folder / "in",
        "hdf5_path": folder / "cache.h5",
        **options,
    }
    return create_hdf5_cache(names, **options)
