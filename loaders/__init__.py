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
    from recorder.errors import ClosedError, DamagedError, NotRunningError, ReadError

__all__ = [
    "ClosedError",
    "DamagedError",
    "EpisodeData",
    "EpisodeSummary",
    "EpisodeTable",
    "ExperimentLoader",
    "JASPERSteeringDataset",
    "LiveExperiment",
    "LiveStatus",
    "NotRunningError",
    "ReadError",
    "Samples",
    "StreamAccount",
    "StreamData",
    "Update",
    "create_loader",
    "describe",
    "quick_load",
    "set_epoch",
    "validate_dataset",
    "validate_first_batch",
]

_HOMES = {
    "ClosedError": "recorder.errors",
    "DamagedError": "recorder.errors",
    "EpisodeData": "loaders.episode",
    "EpisodeSummary": "loaders.summary",
    "EpisodeTable": "loaders.summary",
    "ExperimentLoader": "loaders.experiment",
    "JASPERSteeringDataset": "loaders.steering",
    "LiveExperiment": "loaders.live",
    "LiveStatus": "loaders.live",
    "NotRunningError": "recorder.errors",
    "ReadError": "recorder.errors",
    "Samples": "loaders.live",
    "Update": "loaders.live",
    "StreamAccount": "loaders.accounts",
    "StreamData": "loaders.stream",
    "create_loader": "loaders.steering",
    "describe": "loaders.overview",
    "quick_load": "loaders.quick",
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
