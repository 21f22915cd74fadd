"""EEG recordings (TUSZ) to labelled windows for training: cache, index, manifest, datasets.

Names are imported when they are first used: datasets need torch, and reading EDF needs MNE.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loaders.windows.eeg.annotations import parse_tusz_csv
    from loaders.windows.eeg.balanced import BalancedSeizureDataset
    from loaders.windows.eeg.cache import CacheStatus, check_cache_completeness
    from loaders.windows.eeg.dataset import EEGWindowDataset
    from loaders.windows.eeg.manifest import scan_existing_cache, validate_manifest
    from loaders.windows.eeg.paths import cache_file_path
    from loaders.windows.eeg.splits import (
        extract_patient_id,
        load_tusz_for_training,
        validate_patient_disjointness,
    )
    from loaders.windows.eeg.training import TrainingStart, start_dataset, start_training
    from loaders.windows.eeg.weight import compute_pos_weight

__all__ = [
    "BalancedSeizureDataset",
    "CacheStatus",
    "EEGWindowDataset",
    "TrainingStart",
    "cache_file_path",
    "check_cache_completeness",
    "compute_pos_weight",
    "extract_patient_id",
    "load_tusz_for_training",
    "parse_tusz_csv",
    "scan_existing_cache",
    "start_dataset",
    "start_training",
    "validate_manifest",
    "validate_patient_disjointness",
]

_HOMES = {
    "BalancedSeizureDataset": "balanced",
    "CacheStatus": "cache",
    "EEGWindowDataset": "dataset",
    "TrainingStart": "training",
    "cache_file_path": "paths",
    "check_cache_completeness": "cache",
    "compute_pos_weight": "weight",
    "extract_patient_id": "splits",
    "load_tusz_for_training": "splits",
    "parse_tusz_csv": "annotations",
    "scan_existing_cache": "manifest",
    "start_dataset": "training",
    "start_training": "training",
    "validate_manifest": "manifest",
    "validate_patient_disjointness": "splits",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
