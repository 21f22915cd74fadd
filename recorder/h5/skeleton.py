"""The frame of a recording's file: root attributes, groups, and the beginnings and ends in it.

Each function is one structural change or part of one; none of them opens, flushes or closes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from recorder.format.document import dumps
from recorder.format.layout import (
    ACCOUNTS,
    COMPLETED,
    DROPPED,
    ENDED_BY,
    EPISODE_GROUPS,
    EPISODES,
    FORMAT,
    FORMAT_VERSION,
    NETWORK,
    NEURONS,
    RECOVERED_STEPS,
    ROOT_GROUPS,
    RUNNING,
    SCHEMA_VERSION,
    UNVERIFIED,
    episode_path,
)
from recorder.h5 import make
from recorder.h5.tree import put_encoded
from recorder.options import RecordingOptions

NO_TOTALS: dict[str, Any] = {
    "total_timesteps": 0,
    "total_spikes": 0,
    "total_reward": 0.0,
    "total_weight_changes": 0,
    "total_events": 0,
    DROPPED: 0,
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
    put_contents(file, {_RATE: _rate(options.neural_sampling_rate)})
    if options.compression_level is not None:
        file.attrs["compression_level"] = np.int64(options.compression_level)
    file.attrs["chunk_size"] = np.int64(options.chunk_size)
    for group in ROOT_GROUPS:
        file.create_group(group)


def finish(
    file: Any,
    *,
    status: str,
    end_time: str,
    episode_count: int,
    dropped: int = 0,
    recovered: int = 0,
    unverified: int = 0,
) -> None:
    """Root attributes of a recording that ends.

    ``episode_count`` is episodes started; ``dropped``, ``recovered`` and, of these, ``unverified`` are
    steps over all of them.
    """
    put_text(file, "end_time", end_time)
    put_text(file, "status", status)
    file.attrs["episode_count"] = file.attrs["total_episodes"] = np.int64(episode_count)
    for name, steps in ((DROPPED, dropped), (RECOVERED_STEPS, recovered), (UNVERIFIED, unverified)):
        if steps:
            file.attrs[name] = np.int64(steps)


def first_attributes(episode_id: int, start: Mapping[str, Any]) -> dict[str, make.Content]:
    """Attributes of an episode that starts; documents as bytes.

    ``start`` holds ``start_time`` (ISO 8601) and ``neural_sampling_rate`` (an int or a mapping);
    other entries are ignored.
    """
    return {
        "episode_id": np.int64(episode_id),
        "start_time": _clean(start["start_time"]),
        "status": RUNNING,
        _RATE: _rate(start[_RATE]),
    }


def last_attributes(
    totals: Mapping[str, Any],
    end: Mapping[str, Any],
    *,
    recovered: int = 0,
    accounts: Mapping[str, Any] | None = None,
) -> dict[str, make.Content]:
    """Attributes of an episode that ends; documents as bytes.

    Parameters
    ----------
    totals : mapping
        Entries of :data:`NO_TOTALS`; missing ones stand there as zero. ``spike_rate`` follows from them.
    end : mapping
        ``end_time`` (ISO 8601), and optionally ``status`` (``completed``), ``success`` (False),
        ``dropped_timesteps`` and ``summary``, a mapping or the text of its document.
    recovered : int
        Steps that a repair brought back; no attribute for none.
    accounts : mapping, optional
        Rows logged, committed, recovered and dropped by stream, where they differ.
    """
    out: dict[str, make.Content] = {}
    summary = end.get("summary")
    if summary is not None:
        out["summary"] = (
            summary.encode("ascii") if isinstance(summary, str) else dumps(dict(summary), "summary")
        )
    out["end_time"] = _clean(end["end_time"])
    out["success"] = np.bool_(end.get("success", False))
    known = {**NO_TOTALS, **totals, **{key: end[key] for key in NO_TOTALS.keys() & end.keys()}}
    for name, none in NO_TOTALS.items():
        out[name] = np.float64(known[name]) if isinstance(none, float) else np.int64(known[name])
    out["spike_rate"] = np.float64(known["total_spikes"] / max(1, known["total_timesteps"]))
    if recovered:
        out[RECOVERED_STEPS] = np.int64(recovered)
    if accounts:
        out[ACCOUNTS] = dumps(dict(accounts), ACCOUNTS)
    out["status"] = _clean(end.get("status", COMPLETED))
    if end.get(ENDED_BY):
        out[ENDED_BY] = _clean(end[ENDED_BY])
    return out


def create_episode(file: Any, episode_id: int, start: Mapping[str, Any]) -> Any:
    """The group of an episode that starts, with its six empty groups; returns it.

    ``start`` is that of :func:`first_attributes`.
    """
    group = h5py.Group(make.group(file.id, episode_path(episode_id).encode()))
    put_contents(group, first_attributes(episode_id, start))
    for name in EPISODE_GROUPS:
        make.group(group.id, name.encode())
    return group


def put_contents(group: Any, contents: Mapping[str, make.Content]) -> None:
    """Attributes and documents, in place of those of their names."""
    for name, content in contents.items():
        if isinstance(content, bytes):
            put_encoded(group, name, content)
        else:
            make.put_attribute(group.id, name, content)


def has_network(file: Any) -> bool:
    """Whether the network structure was saved."""
    return f"{NETWORK}/{NEURONS}" in file


def started_episodes(file: Any) -> int:
    """Number of episodes in the file."""
    return len(file[EPISODES])


def put_text(target: Any, name: str, text: str) -> None:
    """A text attribute; what UTF-8 or HDF5 cannot hold (lone surrogates, NUL) is replaced by ``?``."""
    make.put_attribute(target.id, name, _clean(text))


def _clean(text: str) -> str:
    return text.replace("\0", "?").encode("utf-8", "replace").decode("utf-8")


def _rate(rate: int | Mapping[str, int]) -> make.Content:
    """The attribute ``neural_sampling_rate``: int64, or a document of rates by variable."""
    if isinstance(rate, Mapping):
        return dumps({key: int(value) for key, value in rate.items()}, _RATE)
    return np.int64(rate)


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
