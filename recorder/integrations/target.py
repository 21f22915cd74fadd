"""What integrations log into: an exporter, or something that stands before one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from recorder.errors import InputError


class Target(Protocol):
    """The part of :class:`recorder.DataExporter` that an integration uses."""

    @property
    def current_episode(self) -> Any:
        """The active episode, or None."""

    def start_episode(self, episode_id: int | None = None) -> Any:
        """See :meth:`recorder.DataExporter.start_episode`."""

    def end_episode(self, success: bool = False, summary: Mapping[str, Any] | None = None) -> None:
        """See :meth:`recorder.DataExporter.end_episode`."""

    def log(
        self,
        timestep: Any = None,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
        **more: Any,
    ) -> None:
        """See :meth:`recorder.DataExporter.log`."""

    def save_metadata(self, metadata: Mapping[str, Any]) -> None:
        """See :meth:`recorder.DataExporter.save_metadata`."""


class Counter:
    """Timesteps of one episode after the other, each from 0."""

    __slots__ = ("_episode", "_step")

    def __init__(self) -> None:
        self._episode: Any = None
        self._step = 0

    def step(self, target: Target) -> int:
        """The timestep of the next row of the active episode."""
        episode = target.current_episode
        if episode is not self._episode:
            self._episode, self._step = episode, 0
        return self._step

    def advance(self) -> None:
        """That row is stored."""
        self._step += 1


def joined(row: dict[str, Any], more: Any) -> dict[str, Any]:
    """Arguments of ``log()`` with those that a user's callable adds to them.

    Raises
    ------
    InputError
        ``more`` is no mapping, has something that the row has already, or what no keyword can be.
    """
    if not isinstance(more, Mapping):
        raise InputError("also", "a mapping of log()'s arguments", type(more).__name__)
    out = dict(row)
    for key, value in more.items():
        if key == "timestep":
            raise InputError("also['timestep']", "what is not recorded already", repr(value)[:80])
        if not isinstance(key, str) or key == "self":
            raise InputError("also", "names of log()'s arguments", repr(key)[:80])
        mine = out.get(key)
        if mine is None:
            out[key] = value
        elif isinstance(mine, Mapping) and isinstance(value, Mapping) and not mine.keys() & value.keys():
            out[key] = {**mine, **value}
        else:
            raise InputError(f"also[{key!r}]", "what is not recorded already", repr(value)[:80])
    return out
