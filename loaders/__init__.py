"""Reading recordings of flightrec and of the system it follows.

``ExperimentLoader(path)`` opens a recording's folder or file; ``quick_load(path)`` returns one
episode as plain dicts. Reading needs nothing of the recorder's writing side.
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
    from loaders.stream import StreamData
    from loaders.summary import EpisodeSummary, EpisodeTable
    from recorder.errors import ClosedError, DamagedError, ExportError, NotRunningError, ReadError

__all__ = [
    "ClosedError",
    "DamagedError",
    "EpisodeData",
    "EpisodeSummary",
    "EpisodeTable",
    "ExperimentCollection",
    "ExperimentLoader",
    "ExportError",
    "LiveExperiment",
    "LiveStatus",
    "NotRunningError",
    "ReadError",
    "Run",
    "Samples",
    "StreamAccount",
    "StreamData",
    "Update",
    "describe",
    "quick_load",
]

_HOMES = {
    "ClosedError": "recorder.errors",
    "DamagedError": "recorder.errors",
    "EpisodeData": "loaders.episode",
    "EpisodeSummary": "loaders.summary",
    "EpisodeTable": "loaders.summary",
    "ExperimentCollection": "loaders.collection",
    "ExperimentLoader": "loaders.experiment",
    "ExportError": "recorder.errors",
    "LiveExperiment": "loaders.live",
    "LiveStatus": "loaders.live",
    "NotRunningError": "recorder.errors",
    "ReadError": "recorder.errors",
    "Run": "loaders.collection",
    "Samples": "loaders.live",
    "Update": "loaders.live",
    "StreamAccount": "loaders.accounts",
    "StreamData": "loaders.stream",
    "describe": "loaders.overview",
    "quick_load": "loaders.quick",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
