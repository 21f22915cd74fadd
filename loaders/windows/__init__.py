"""From recordings and EEG/MEG files to windows for training: caches, indices, manifests, datasets.

``create_hdf5_cache`` cuts recordings into one HDF5 file, and ``HDF5SubjectPairDataset`` draws from it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loaders.windows.building import CacheReport, create_hdf5_cache
    from loaders.windows.cached import HDF5SubjectPairDataset
    from loaders.windows.converting import create_hdf5_from_pt_cache
    from loaders.windows.samplers import UniqueSubjectBatchSampler, WindowExhaustiveBatchSampler
    from loaders.windows.sources.recording import episode_sources
    from loaders.windows.tensor_files import SubjectPairDataset, WindowMEG_Dataset
    from loaders.windows.transforms import NoiseInjection, StdGaussianNoise, ZScore

__all__ = [
    "CacheReport",
    "HDF5SubjectPairDataset",
    "NoiseInjection",
    "StdGaussianNoise",
    "SubjectPairDataset",
    "UniqueSubjectBatchSampler",
    "WindowExhaustiveBatchSampler",
    "WindowMEG_Dataset",
    "ZScore",
    "create_hdf5_cache",
    "create_hdf5_from_pt_cache",
    "episode_sources",
]

_HOMES = {
    "CacheReport": "building",
    "HDF5SubjectPairDataset": "cached",
    "NoiseInjection": "transforms",
    "StdGaussianNoise": "transforms",
    "SubjectPairDataset": "tensor_files",
    "UniqueSubjectBatchSampler": "samplers",
    "WindowExhaustiveBatchSampler": "samplers",
    "WindowMEG_Dataset": "tensor_files",
    "ZScore": "transforms",
    "create_hdf5_cache": "building",
    "create_hdf5_from_pt_cache": "converting",
    "episode_sources": "sources.recording",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
