"""flightrec: a flight recorder for Python simulations.

>>> from recorder import DataExporter
>>> with DataExporter("my_experiment") as exporter:  # doctest: +SKIP
...     exporter.start_episode()
...     for t in range(1000):
...         exporter.log(timestep=t, neural_state={"v": v}, spikes=spikes, reward=0.0)

``loaders`` reads recordings back. Its names are importable from here too, so that
``from export import …`` becomes ``from recorder import …``. Everything is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

    from loaders import EpisodeData, ExperimentLoader, quick_load
    from recorder.errors import (
        AmbiguousSpikesError,
        BatchError,
        CacheBuildError,
        CacheMismatchError,
        CacheMissingError,
        CacheNotFoundError,
        ClosedError,
        ConcurrentLogError,
        DamagedError,
        DiscontinuousError,
        DroppedStepsWarning,
        DuplicateError,
        EmptySplitError,
        ExportError,
        ExportWarning,
        FlightrecError,
        HDF5StorageError,
        InputError,
        InvalidNameError,
        MissingAnnotationError,
        MissingChannelsError,
        MissingExtraError,
        MissingFileError,
        NetworkFileSystemWarning,
        NoEpisodeError,
        NoItemError,
        NoSeizuresError,
        NoTrainingDataError,
        NotRunningError,
        OptionError,
        PatientLeakageError,
        ReadError,
        RecordingLockedError,
        RepairError,
        ReplacedError,
        RingFullError,
        RowTooLargeError,
        ShortCaptureWarning,
        StateError,
        StorageInputError,
        StorageLockedError,
        StreamShapeError,
        StreamTypeError,
        TimestepError,
        TransferError,
        UnknownFieldError,
        WriteError,
    )
    from recorder.exporter import DataExporter, OptimizedDataExporter, OptimizedEpisode
    from recorder.h5.repair import RepairReport, repair
    from recorder.handle import Episode
    from recorder.hotpath import HOT_PATH
    from recorder.schema import (
        SCHEMA_VERSION,
        SchemaVersion,
        validate_network_structure,
        validate_timestep_data,
        validate_weight_change,
    )
    from recorder.spike_input import SpikeIndices
    from recorder.standard import StandardDataExporter, StandardEpisode
    from recorder.utils import (
        align_timesteps,
        create_output_dir,
        create_timestep_mapping,
        ensure_numpy,
        interpolate_sampled_data,
    )

_HOMES = {
    "loaders": ("EpisodeData", "ExperimentLoader", "quick_load"),
    "recorder.errors": (
        "AmbiguousSpikesError",
        "CacheMismatchError",
        "CacheNotFoundError",
        "CacheBuildError",
        "CacheMissingError",
        "DiscontinuousError",
        "MissingAnnotationError",
        "MissingChannelsError",
        "MissingExtraError",
        "NoSeizuresError",
        "NoTrainingDataError",
        "PatientLeakageError",
        "BatchError",
        "ClosedError",
        "ConcurrentLogError",
        "DamagedError",
        "DroppedStepsWarning",
        "DuplicateError",
        "EmptySplitError",
        "ExportError",
        "ExportWarning",
        "FlightrecError",
        "HDF5StorageError",
        "InputError",
        "InvalidNameError",
        "NetworkFileSystemWarning",
        "MissingFileError",
        "NoEpisodeError",
        "OptionError",
        "NoItemError",
        "NotRunningError",
        "ReadError",
        "RecordingLockedError",
        "RepairError",
        "ReplacedError",
        "RingFullError",
        "RowTooLargeError",
        "ShortCaptureWarning",
        "StateError",
        "StorageInputError",
        "StorageLockedError",
        "StreamShapeError",
        "StreamTypeError",
        "TimestepError",
        "TransferError",
        "UnknownFieldError",
        "WriteError",
    ),
    "recorder.exporter": ("DataExporter", "OptimizedDataExporter", "OptimizedEpisode"),
    "recorder.handle": ("Episode",),
    "recorder.h5.repair": ("RepairReport", "repair"),
    "recorder.hotpath": ("HOT_PATH",),
    "recorder.schema": (
        "SCHEMA_VERSION",
        "SchemaVersion",
        "validate_network_structure",
        "validate_timestep_data",
        "validate_weight_change",
    ),
    "recorder.spike_input": ("SpikeIndices",),
    "recorder.standard": ("StandardDataExporter", "StandardEpisode"),
    "recorder.utils": (
        "align_timesteps",
        "create_output_dir",
        "create_timestep_mapping",
        "ensure_numpy",
        "interpolate_sampled_data",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "HOT_PATH",
    "SCHEMA_VERSION",
    "AmbiguousSpikesError",
    "BatchError",
    "CacheBuildError",
    "CacheMismatchError",
    "CacheMissingError",
    "CacheNotFoundError",
    "ClosedError",
    "ConcurrentLogError",
    "DamagedError",
    "DataExporter",
    "DiscontinuousError",
    "DroppedStepsWarning",
    "DuplicateError",
    "EmptySplitError",
    "Episode",
    "EpisodeData",
    "ExperimentLoader",
    "ExportError",
    "ExportWarning",
    "FlightrecError",
    "HDF5StorageError",
    "InputError",
    "InvalidNameError",
    "MissingAnnotationError",
    "MissingChannelsError",
    "MissingExtraError",
    "MissingFileError",
    "NetworkFileSystemWarning",
    "NoEpisodeError",
    "NoItemError",
    "NoSeizuresError",
    "NoTrainingDataError",
    "NotRunningError",
    "OptimizedDataExporter",
    "OptimizedEpisode",
    "OptionError",
    "PatientLeakageError",
    "ReadError",
    "RecordingLockedError",
    "RepairError",
    "RepairReport",
    "ReplacedError",
    "RingFullError",
    "RowTooLargeError",
    "SchemaVersion",
    "ShortCaptureWarning",
    "SpikeIndices",
    "StandardDataExporter",
    "StandardEpisode",
    "StateError",
    "StorageInputError",
    "StorageLockedError",
    "StreamShapeError",
    "StreamTypeError",
    "TimestepError",
    "TransferError",
    "UnknownFieldError",
    "WriteError",
    "__version__",
    "align_timesteps",
    "create_output_dir",
    "create_timestep_mapping",
    "ensure_numpy",
    "interpolate_sampled_data",
    "quick_load",
    "repair",
    "validate_network_structure",
    "validate_timestep_data",
    "validate_weight_change",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Reading a package's metadata costs as much as importing NumPy.
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("flightrec")
        except PackageNotFoundError:
            return "0.0.0"
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'recorder' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
