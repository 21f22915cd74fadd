"""Reading recordings of flightrec and of the system it follows, and datasets for training.

``ExperimentLoader(path)`` opens a recording's folder or file; ``quick_load(path)`` returns one
episode as plain dicts. Reading needs nothing of the recorder's writing side. Datasets for torch import it
when they are asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loaders.accounts import StreamAccount
    from loaders.collection import ExperimentCollection, Run
    from loaders.episode import EpisodeData
    from loaders.experiment import ExperimentLoader
    from loaders.live import LiveExperiment, LiveStatus, Samples, Update
    from loaders.overview import describe
    from loaders.quick import quick_load
    from loaders.steering import (
        JASPERSteeringDataset,
        create_loader,
        set_epoch,
        validate_dataset,
        validate_first_batch,
    )
    from loaders.stream import StreamData
    from loaders.summary import EpisodeSummary, EpisodeTable
    from loaders.windows import (
        CacheReport,
        HDF5SubjectPairDataset,
        NoiseInjection,
        StdGaussianNoise,
        SubjectPairDataset,
        UniqueSubjectBatchSampler,
        WindowExhaustiveBatchSampler,
        WindowMEG_Dataset,
        ZScore,
        create_hdf5_cache,
        create_hdf5_from_pt_cache,
        episode_sources,
    )
    from loaders.windows.eeg import (
        BalancedSeizureDataset,
        CacheStatus,
        EEGWindowDataset,
        TrainingStart,
        cache_file_path,
        check_cache_completeness,
        compute_pos_weight,
        extract_patient_id,
        load_tusz_for_training,
        parse_tusz_csv,
        scan_existing_cache,
        start_dataset,
        start_training,
        validate_manifest,
        validate_patient_disjointness,
    )
    from recorder.errors import (
        ClosedError,
        DamagedError,
        ExportError,
        ExportWarning,
        NotRunningError,
        ReadError,
        TimestepError,
    )

__all__ = [
    "BalancedSeizureDataset",
    "CacheReport",
    "CacheStatus",
    "ClosedError",
    "DamagedError",
    "EEGWindowDataset",
    "EpisodeData",
    "EpisodeSummary",
    "EpisodeTable",
    "ExperimentCollection",
    "ExperimentLoader",
    "ExportError",
    "ExportWarning",
    "HDF5SubjectPairDataset",
    "JASPERSteeringDataset",
    "LiveExperiment",
    "LiveStatus",
    "NoiseInjection",
    "NotRunningError",
    "ReadError",
    "Run",
    "Samples",
    "StdGaussianNoise",
    "StreamAccount",
    "StreamData",
    "SubjectPairDataset",
    "TimestepError",
    "TrainingStart",
    "UniqueSubjectBatchSampler",
    "Update",
    "WindowExhaustiveBatchSampler",
    "WindowMEG_Dataset",
    "ZScore",
    "cache_file_path",
    "check_cache_completeness",
    "compute_pos_weight",
    "create_hdf5_cache",
    "create_hdf5_from_pt_cache",
    "create_loader",
    "describe",
    "episode_sources",
    "extract_patient_id",
    "load_tusz_for_training",
    "parse_tusz_csv",
    "quick_load",
    "scan_existing_cache",
    "set_epoch",
    "start_dataset",
    "start_training",
    "validate_dataset",
    "validate_first_batch",
    "validate_manifest",
    "validate_patient_disjointness",
]

_HOMES = {
    "BalancedSeizureDataset": "loaders.windows.eeg",
    "CacheStatus": "loaders.windows.eeg",
    "EEGWindowDataset": "loaders.windows.eeg",
    "TrainingStart": "loaders.windows.eeg",
    "cache_file_path": "loaders.windows.eeg",
    "check_cache_completeness": "loaders.windows.eeg",
    "compute_pos_weight": "loaders.windows.eeg",
    "extract_patient_id": "loaders.windows.eeg",
    "load_tusz_for_training": "loaders.windows.eeg",
    "parse_tusz_csv": "loaders.windows.eeg",
    "scan_existing_cache": "loaders.windows.eeg",
    "start_dataset": "loaders.windows.eeg",
    "start_training": "loaders.windows.eeg",
    "validate_manifest": "loaders.windows.eeg",
    "validate_patient_disjointness": "loaders.windows.eeg",
    "ClosedError": "recorder.errors",
    "DamagedError": "recorder.errors",
    "EpisodeData": "loaders.episode",
    "EpisodeSummary": "loaders.summary",
    "EpisodeTable": "loaders.summary",
    "ExperimentCollection": "loaders.collection",
    "ExperimentLoader": "loaders.experiment",
    "JASPERSteeringDataset": "loaders.steering",
    "ExportError": "recorder.errors",
    "ExportWarning": "recorder.errors",
    "LiveExperiment": "loaders.live",
    "LiveStatus": "loaders.live",
    "NotRunningError": "recorder.errors",
    "ReadError": "recorder.errors",
    "Run": "loaders.collection",
    "TimestepError": "recorder.errors",
    "Samples": "loaders.live",
    "Update": "loaders.live",
    "StreamAccount": "loaders.accounts",
    "StreamData": "loaders.stream",
    "create_loader": "loaders.steering",
    "describe": "loaders.overview",
    "quick_load": "loaders.quick",
    "CacheReport": "loaders.windows",
    "HDF5SubjectPairDataset": "loaders.windows",
    "NoiseInjection": "loaders.windows",
    "StdGaussianNoise": "loaders.windows",
    "SubjectPairDataset": "loaders.windows",
    "UniqueSubjectBatchSampler": "loaders.windows",
    "WindowExhaustiveBatchSampler": "loaders.windows",
    "WindowMEG_Dataset": "loaders.windows",
    "ZScore": "loaders.windows",
    "create_hdf5_cache": "loaders.windows",
    "create_hdf5_from_pt_cache": "loaders.windows",
    "episode_sources": "loaders.windows",
    "set_epoch": "loaders.steering",
    "validate_dataset": "loaders.steering",
    "validate_first_batch": "loaders.steering",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
