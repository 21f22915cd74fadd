"""The frame of a recording's file: root attributes, groups, and the beginnings and ends in it.

Each function is one structural change or part of one; none of them opens, flushes or closes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from recorder.format.layout import (
    COMPLETED,
    EPISODE_GROUPS,
    EPISODES,
    FORMAT,
    FORMAT_VERSION,
    NETWORK,
    NEURONS,
    ROOT_GROUPS,
    RUNNING,
    SCHEMA_VERSION,
    episode_path,
)
from recorder.h5.tree import put_document, put_encoded
from recorder.options import RecordingOptions

NO_TOTALS: dict[str, Any] = {
    "total_timesteps": 0,
    "total_spikes": 0,
    "total_reward": 0.0,
    "total_weight_changes": 0,
    "total_events": 0,
    "dropped_timesteps": 0,
}
"""An episode's totals before anything was logged, in the order in which they are written."""

_RATE = "neural_sampling_rate"


def initialise(
    file: Any,
    options: RecordingOptions,
    exporter_name: str,
    *,
    timestamp: str,
    start_time: str,
    command_line: str,
) -> None:
    """Root attributes and groups of a new recording.

    ``exporter_name`` is ``optimized`` or ``standard``, ``timestamp`` the time in the folder's name,
    ``start_time`` ISO 8601, ``command_line`` already without secrets.
    """
    texts = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "schema_version": SCHEMA_VERSION,
        "exporter": exporter_name,
        "experiment_name": options.experiment_name,
        "timestamp": timestamp,
        "start_time": start_time,
        "status": RUNNING,
        "command_line": command_line,
        "compression": options.compression or "none",
    }
    for name, text in texts.items():
        put_text(file, name, text)
    put_rate(file, options.neural_sampling_rate)
    if options.compression_level is not None:
        file.attrs["compression_level"] = np.int64(options.compression_level)
    file.attrs["chunk_size"] = np.int64(options.chunk_size)
    for group in ROOT_GROUPS:
        file.create_group(group)


def finish(file: Any, *, status: str, end_time: str, episode_count: int) -> None:
    """Root attributes of a recording that ends. ``episode_count``: episodes started."""
    put_text(file, "end_time", end_time)
    put_text(file, "status", status)
    file.attrs["episode_count"] = file.attrs["total_episodes"] = np.int64(episode_count)


def create_episode(file: Any, episode_id: int, start: Mapping[str, Any]) -> Any:
    """The group of an episode that starts, with its six empty groups; returns it.

    ``start`` holds ``start_time`` (ISO 8601) and ``neural_sampling_rate`` (an int or a mapping);
    other entries are ignored.
    """
    group = file.create_group(episode_path(episode_id))
    group.attrs["episode_id"] = np.int64(episode_id)
    put_text(group, "start_time", start["start_time"])
    put_text(group, "status", RUNNING)
    put_rate(group, start[_RATE])
    for name in EPISODE_GROUPS:
        group.create_group(name)
    return group


def finish_episode(file: Any, episode_id: int, totals: Mapping[str, Any], end: Mapping[str, Any]) -> None:
    """Attributes of an episode that ends.

    Parameters
    ----------
    totals : mapping
        Entries of :data:`NO_TOTALS`; missing ones stand there as zero. ``spike_rate`` follows from them.
    end : mapping
        ``end_time`` (ISO 8601), and optionally ``status`` (``completed``), ``success`` (False),
        ``dropped_timesteps`` and ``summary``, a mapping or the text of its document.
    """
    group = file[episode_path(episode_id)]
    summary = end.get("summary")
    if isinstance(summary, str):
        put_encoded(group, "summary", summary.encode("ascii"))
    elif summary is not None:
        put_document(group, "summary", dict(summary))
    put_text(group, "end_time", end["end_time"])
    group.attrs["success"] = np.bool_(end.get("success", False))
    known = {**NO_TOTALS, **totals, **{key: end[key] for key in NO_TOTALS.keys() & end.keys()}}
    for name, none in NO_TOTALS.items():
        group.attrs[name] = np.float64(known[name]) if isinstance(none, float) else np.int64(known[name])
    group.attrs["spike_rate"] = np.float64(known["total_spikes"] / max(1, known["total_timesteps"]))
    put_text(group, "status", end.get("status", COMPLETED))


def has_network(file: Any) -> bool:
    """Whether the network structure was saved."""
    return f"{NETWORK}/{NEURONS}" in file


def started_episodes(file: Any) -> int:
    """Number of episodes in the file."""
    return len(file[EPISODES])


def put_rate(target: Any, rate: int | Mapping[str, int]) -> None:
    """The attribute ``neural_sampling_rate``: int64, or a document of rates by variable."""
    if isinstance(rate, Mapping):
        put_document(target, _RATE, {key: int(value) for key, value in rate.items()})
    else:
        target.attrs[_RATE] = np.int64(rate)


def put_text(target: Any, name: str, text: str) -> None:
    """A text attribute; what UTF-8 or HDF5 cannot hold (lone surrogates, NUL) is replaced by ``?``."""
    target.attrs[name] = text.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")


def put_texts(group: Any, texts: Mapping[str, str | None]) -> None:
    """One text attribute an entry, None left out; every earlier attribute is removed."""
    for name in list(group.attrs):
        del group.attrs[name]
    for name, text in texts.items():
        if text is not None:
            put_text(group, name, text)


def hdf5_versions() -> dict[str, str]:
    """Versions of h5py and of the HDF5 library in use."""
    return {"h5py_version": h5py.__version__, "hdf5_version": h5py.version.hdf5_version}
