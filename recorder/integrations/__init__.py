"""Recordings of what other tools compute: one short module each, imported where it is used.

::

    from recorder.integrations import record_steps

A name is imported, and its library with it, when it is first asked for. Those that log into a recording of
yours take a ``DataExporter``, or what logs like one (:class:`recorder.integrations.target.Target`):
``Triggered``, which stands before an exporter, or ``Staged``, which stands before either.
``RecordVectorEpisodes`` opens recordings of its own, one for each environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recorder.integrations.brian2 import record_group
    from recorder.integrations.gymnasium import RecordEpisodes
    from recorder.integrations.gymnasium_vector import RecordVectorEpisodes
    from recorder.integrations.modules import RecordModules
    from recorder.integrations.nengo import run_recorded
    from recorder.integrations.staged import Staged
    from recorder.integrations.stepping import record_steps
    from recorder.integrations.triggered import Triggered

__all__ = [
    "RecordEpisodes",
    "RecordModules",
    "RecordVectorEpisodes",
    "Staged",
    "Triggered",
    "record_group",
    "record_steps",
    "run_recorded",
]

_HOMES = {
    "RecordEpisodes": "gymnasium",
    "RecordModules": "modules",
    "RecordVectorEpisodes": "gymnasium_vector",
    "Staged": "staged",
    "Triggered": "triggered",
    "record_group": "brian2",
    "record_steps": "stepping",
    "run_recorded": "nengo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
