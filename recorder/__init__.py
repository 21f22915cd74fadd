"""flightrec: a flight recorder for Python simulations.

>>> from recorder import DataExporter
>>> with DataExporter("my_experiment") as exporter:  # doctest: +SKIP
...     exporter.start_episode()
...     for t in range(1000):
...         exporter.log(timestep=t, neural_state={"v": v}, spikes=spikes, reward=0.0)

``loaders`` reads recordings back. Reading names are importable from here too, so that
``from export import …`` becomes ``from recorder import …``.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _version
from typing import Any

try:
    __version__ = _version("flightrec")
except PackageNotFoundError:
    __version__ = "0.0.0"

_HOMES = {
    "DataExporter": "recorder.exporter",
    "Episode": "recorder.exporter",
    "OptimizedDataExporter": "recorder.exporter",
    "OptimizedEpisode": "recorder.exporter",
    "StandardDataExporter": "recorder.standard",
    "StandardEpisode": "recorder.standard",
    "SpikeIndices": "recorder.spike_input",
    "RepairReport": "recorder.h5.repair",
    "repair": "recorder.h5.repair",
    "SCHEMA_VERSION": "recorder.schema",
    "SchemaVersion": "recorder.schema",
    "validate_timestep_data": "recorder.schema",
    "validate_weight_change": "recorder.schema",
    "validate_network_structure": "recorder.schema",
    "ensure_numpy": "recorder.utils",
    "create_output_dir": "recorder.utils",
    "align_timesteps": "recorder.utils",
    "interpolate_sampled_data": "recorder.utils",
    "create_timestep_mapping": "recorder.utils",
    **dict.fromkeys(("ExperimentLoader", "EpisodeData", "quick_load"), "loaders"),
    **dict.fromkeys(
        (
            "FlightrecError",
            "OptionError",
            "InputError",
            "UnknownFieldError",
            "StreamTypeError",
            "StreamShapeError",
            "InvalidNameError",
            "AmbiguousSpikesError",
            "RowTooLargeError",
            "StateError",
            "NoEpisodeError",
            "ClosedError",
            "DuplicateError",
            "RingFullError",
            "RecordingLockedError",
            "WriteError",
            "ReadError",
            "DamagedError",
            "RepairError",
        ),
        "recorder.errors",
    ),
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'recorder' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
