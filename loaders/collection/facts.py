"""What a collection knows of one recording, from attributes and documents alone; nothing is repaired."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from loaders.collection.flat import flatten
from loaders.collection.index import is_beside
from loaders.documents import FlightrecDocuments, parse_git
from loaders.original import OriginalDocuments
from recorder.errors import ReadError
from recorder.format.layout import EPISODES, FORMAT
from recorder.h5.finished import Finished, UnfamiliarError, read_finished
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
    if not is_beside(file):
        try:
            return found | _of_finished(file, read_finished(file))
        except UnfamiliarError:
            pass  # whatever it is, the other way knows, or can say what is wrong
    return found | whole_facts(file)


def whole_facts(file: Path) -> dict[str, Any]:
    """As :func:`facts_of`, of any recording and all checked, but without what the file system says."""
    found: dict[str, Any] = {}
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


def died(file: Path, code: int) -> dict[str, Any]:
    """The row of a recording whose reading ended the process, with this exit code."""
    why = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    state = file.stat()
    return {
        "size_bytes": state.st_size,
        "modified": state.st_mtime,
        "status": UNREADABLE,
        "error": f"a process that read it ended {why}",
    }


def _of_finished(file: Path, known: Finished) -> dict[str, Any]:
    root = known.root
    found: dict[str, Any] = {
        "experiment": root["experiment_name"] or file.parent.name,
        "status": root["status"],
        "episodes": known.episodes,
        "steps": known.steps,
    }
    git = parse_git({key: value for key, value in known.git.items() if value is not None})
    found |= _surroundings(root, git, known.config)
    return found | _means(known.ended)


def _documents(file: Any) -> dict[str, Any]:
    root = attributes(file)
    documents = FlightrecDocuments(file) if root.get("format") == FORMAT else OriginalDocuments(file)
    return _surroundings(root, documents.git() or {}, documents.config()) | _means(_ended(file, documents))


def _surroundings(root: dict[str, Any], git: dict[str, Any], config: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "start_time": root.get("start_time"),
        "duration_s": _seconds(root.get("start_time"), root.get("end_time")),
        "git_commit": git.get("commit_hash", git.get("commit")),
        "git_dirty": git.get("dirty"),
    }
    return flatten("config", config, found)


def _seconds(start: Any, end: Any) -> float | None:
    try:
        return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds()
    except (ValueError, TypeError):
        return None


def _ended(file: Any, documents: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Of each episode that has ended its ``success``, its reward and the summary that was given."""
    episodes = child_group(file, EPISODES)
    for name in names(episodes) if episodes is not None else ():
        group = child_group(episodes, name)
        if group is not None and group.attrs.get("end_time") is not None:
            facts = attributes(group)
            yield facts.get("success"), facts.get("total_reward"), documents.given_summary(name, group)


def _means(ended: Iterable[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """Means over all ended episodes of what their summaries have as numbers."""
    columns: dict[str, list[float]] = {}
    for success, reward, given in ended:
        row = flatten("summary", given, {"success": success, "reward": reward})
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
