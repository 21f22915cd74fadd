"""What a list of recordings says of one that has ended, read in one go: neither ring nor lock nor overlay.

Only what a row of the list needs is read, and past HDF5. Whatever is not as a recorder leaves it is
:class:`UnfamiliarError`, and left to those who read everything and can say what is wrong.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.errors import DamagedError
from recorder.format.document import loads
from recorder.format.layout import CONFIG, DOCUMENT, EPISODES, FORMAT, GIT_INFO, RUNNING
from recorder.h5.reading.headers import Group, Headers
from recorder.h5.reading.pieces import UnfamiliarError

__all__ = ["Finished", "UnfamiliarError", "read_finished"]

_ROOT = ("format", "status", "experiment_name", "start_time", "end_time")
_GIT = ("commit_hash", "commit", "dirty")
_BROKEN = (struct.error, IndexError, KeyError, ValueError, OverflowError, OSError, DamagedError)


@dataclass(slots=True)
class Finished:
    """One recording.

    Attributes
    ----------
    root, git : dict
        Some of their attributes, as they are stored; those that are missing are None.
    config : dict
        As it was given.
    episodes, steps : int
        How many; steps over all episodes.
    ended : list of tuple
        ``success``, ``total_reward`` and the summary of each episode, in the order of their names.
    """

    root: dict[str, Any]
    git: dict[str, Any]
    config: dict[str, Any]
    episodes: int = 0
    steps: int = 0
    ended: list[tuple[Any, Any, Any]] = field(default_factory=list)


def read_finished(path: Path) -> Finished:
    """Read what is needed of it.

    Raises
    ------
    UnfamiliarError
        It is running, of another system, damaged, or not to be read; or only HDF5 can tell.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _read(Headers(descriptor))
        finally:
            os.close(descriptor)
    except _BROKEN as error:
        raise UnfamiliarError(str(path)) from error


def _read(file: Headers) -> Finished:
    top = file.group(file.root)
    root = top.some(_ROOT)
    if root["format"] != FORMAT or root["status"] in (None, "", RUNNING):
        raise UnfamiliarError(f"{root['format']}, {root['status']}")
    if not isinstance(root["status"], str) or not isinstance(root["experiment_name"], str | None):
        raise UnfamiliarError("no texts")
    found = Finished(
        root,
        file.group(top.links[GIT_INFO]).some(_GIT) if GIT_INFO in top.links else {},
        _document(file.group(top.links[CONFIG]), DOCUMENT) if CONFIG in top.links else {},
    )
    if not isinstance(found.config, dict):
        raise UnfamiliarError(CONFIG)
    episodes = file.group(top.links[EPISODES]).links if EPISODES in top.links else {}
    found.episodes = len(episodes)
    if len(set(episodes.values())) != len(episodes):
        raise UnfamiliarError("an episode in two places")
    for _, address in sorted(episodes.items()):
        episode = file.group(address)
        steps = episode.get(b"total_timesteps")
        if type(steps) is not int or not episode.has(b"end_time"):
            raise UnfamiliarError("an episode that has not ended")
        found.steps += steps
        found.ended.append(
            (episode.get(b"success"), episode.get(b"total_reward"), _document(episode, "summary"))
        )
    return found


def _document(group: Group, name: str) -> Any:
    """A document that is short, as nearly all are; a long one is a dataset, of which others take care."""
    data = group.get(name.encode())
    if name in group.links or not (data is None or isinstance(data, str)):
        raise UnfamiliarError(name)
    return {} if data is None else loads(data.encode())
