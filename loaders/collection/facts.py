"""What a collection knows of one recording, from attributes and documents alone; nothing is repaired."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from loaders.collection.flat import flatten
from loaders.documents import FlightrecDocuments
from loaders.original import OriginalDocuments
from recorder.errors import ReadError
from recorder.format.layout import EPISODES, FORMAT
from recorder.h5.source import attributes, child_group, names
from recorder.h5.summary import MISREADINGS, patiently, summarize

UNREADABLE = "unreadable"
COLUMNS = (
    "name",
    "experiment",
    "status",
    "episodes",
    "steps",
    "size_bytes",
    "modified",
    "start_time",
    "duration_s",
    "git_commit",
    "git_dirty",
)
"""Columns that every recording has, if with None; ``config.…`` and ``summary.…`` come behind them."""


def facts_of(file: Path) -> dict[str, Any]:
    """The row of a recording, but for its name: columns by name.

    A recording that cannot be read has the status ``unreadable``, and why in ``error``.
    """
    state = file.stat()
    found: dict[str, Any] = {"size_bytes": state.st_size, "modified": state.st_mtime}
    try:
        glance = summarize(file)
        found |= {
            "experiment": glance.name,
            "status": glance.status or "other",
            "episodes": glance.episodes,
            "steps": glance.steps,
        }
        found |= patiently(file, _documents)
    except (ReadError, *MISREADINGS) as error:
        found |= {"status": UNREADABLE, "error": " ".join(str(error).split())}
    return found


def _documents(file: Any) -> dict[str, Any]:
    root = attributes(file)
    documents = FlightrecDocuments(file) if root.get("format") == FORMAT else OriginalDocuments(file)
    found: dict[str, Any] = {
        "start_time": root.get("start_time"),
        "duration_s": _seconds(root.get("start_time"), root.get("end_time")),
    }
    git = documents.git() or {}
    found |= {"git_commit": git.get("commit_hash", git.get("commit")), "git_dirty": git.get("dirty")}
    flatten("config", documents.config(), found)
    return found | _summaries(file, documents)


def _seconds(start: Any, end: Any) -> float | None:
    try:
        return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds()
    except (ValueError, TypeError):
        return None


def _summaries(file: Any, documents: Any) -> dict[str, Any]:
    """Means over all ended episodes of what their summaries have as numbers."""
    episodes = child_group(file, EPISODES)
    columns: dict[str, list[float]] = {}
    for name in names(episodes) if episodes is not None else ():
        group = child_group(episodes, name)
        if group is None or group.attrs.get("end_time") is None:
            continue
        facts = attributes(group)
        row = {"success": facts.get("success"), "reward": facts.get("total_reward")}
        flatten("summary", documents.given_summary(name, group), row)
        for key, value in row.items():
            number = _number(value)
            if number is not None:
                label = key if key.startswith("summary.") else f"mean_{key}"
                columns.setdefault(label, []).append(number)
    return {key: _mean(values) for key, values in columns.items() if key != "summary"}


def _number(value: Any) -> float | None:
    """A finite number as a float, whoever's it is."""
    if not isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers)
