"""Tensors from a GPU, without waiting for it at every step: copies are begun now and logged some steps later.

Neither torch nor JAX is imported: who gives a tensor has imported its library.
"""

from __future__ import annotations

import copy
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recorder.admission import as_array, as_index
from recorder.errors import OptionError, StateError
from recorder.integrations.target import Target

_GROUPS = ("neural_state", "behavior")


@dataclass(slots=True)
class Slot:
    """Host memory of one row that is under way, used again and again."""

    hosts: dict[tuple[str, str], tuple[Any, NDArray[Any]]] = field(default_factory=dict)
    """Pinned tensors by argument and key, and the same memory as arrays."""
    events: dict[Any, Any] = field(default_factory=dict)
    """By device: when the row's copies from it are done."""


class Staged:
    """Stands before an exporter and takes tensors on a GPU.

    A CUDA tensor of torch is copied into pinned memory, in the order of its current stream, so that it may be
    changed in place by what follows; a JAX array is copied on its device, and from there to the host.
    Neither waits. A row is logged when ``steps`` further rows have come: only a GPU that is so far behind is
    waited for. Rows without anything on a device pass at once, unless others are before them.

    The last ``steps`` rows are not stored yet: they are lost when the process is killed, and errors about a
    value come so many calls later; they name its timestep. End episodes here, or :meth:`flush` before.

    Parameters
    ----------
    target : DataExporter or Triggered
    steps : int, default 16
        How many rows may be under way; each has memory of its own, which is used again.

    Raises
    ------
    OptionError
        ``steps`` is no int of at least 1.

    Examples
    --------
    >>> with DataExporter("gpu") as exporter, Staged(exporter) as staged:  # doctest: +SKIP
    ...     staged.start_episode()
    ...     for t in range(1000):
    ...         staged.log(t, neural_state={"v": v_on_gpu})
    ...     staged.end_episode()
    """

    def __init__(self, target: Target, steps: int = 16) -> None:
        count = as_index(steps)
        if count is None or count < 1:
            raise OptionError(f"steps must be an int of at least 1, got {steps!r}")
        self._target, self._steps = target, count
        self._pending: deque[tuple[Slot, Any, dict[str, Any]]] = deque()
        self._free = [Slot() for _ in range(count + 1)]

    @property
    def current_episode(self) -> Any:
        """The exporter's."""
        return self._target.current_episode

    @property
    def pending(self) -> int:
        """Rows that are under way."""
        return len(self._pending)

    def start_episode(self, episode_id: int | None = None) -> Any:
        """See :meth:`recorder.DataExporter.start_episode`; rows under way are logged before."""
        self.flush()
        return self._target.start_episode(episode_id)

    def end_episode(self, success: bool = False, summary: Mapping[str, Any] | None = None) -> None:
        """See :meth:`recorder.DataExporter.end_episode`; rows under way are logged before."""
        self.flush()
        self._target.end_episode(success, summary)

    def save_metadata(self, metadata: Mapping[str, Any]) -> None:
        """See :meth:`recorder.DataExporter.save_metadata`."""
        self._target.save_metadata(metadata)

    def log(
        self,
        timestep: Any = None,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
        **more: Any,
    ) -> None:
        """See :meth:`recorder.DataExporter.log`; errors may be those of a row before."""
        row = dict(
            timestep=timestep,
            neural_state=neural_state,
            spikes=spikes,
            behavior=behavior,
            reward=reward,
            **more,
        )
        episode = self._target.current_episode
        if episode is None or not (self._pending or any(map(_on_device, _values(row)))):
            self._target.log(**row)
            return
        slot = self._free.pop()
        try:
            staged = _begun(slot, row)
        except BaseException:
            self._free.append(slot)
            raise
        self._pending.append((slot, episode, staged))
        if len(self._pending) > self._steps:
            self._finish()

    def flush(self) -> None:
        """Wait for all rows that are under way, and log them; what the first bad one met is raised last."""
        first: Exception | None = None
        while self._pending:
            try:
                self._finish()
            except Exception as error:
                first = first or error
        if first is not None:
            raise first

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    def _finish(self) -> None:
        slot, episode, row = self._pending.popleft()
        try:
            for event in slot.events.values():
                event.synchronize()
            if self._target.current_episode is not episode:
                raise StateError(
                    f"timestep {row['timestep']!r} was under way when its episode ended, and is not stored: "
                    "end episodes through Staged, or flush() before"
                )
            self._target.log(**row)
        finally:
            self._free.append(slot)


def _values(row: Mapping[str, Any]) -> list[Any]:
    out = [row["spikes"], row["reward"]]
    for group in _GROUPS:
        if isinstance(row[group], Mapping):
            out.extend(row[group].values())
    return out


def _on_device(value: Any) -> bool:
    return bool(getattr(value, "is_cuda", False)) or hasattr(value, "copy_to_host_async")


def _begun(slot: Slot, row: dict[str, Any]) -> dict[str, Any]:
    """The row with host memory in the place of what is on a device, into which copies are under way."""
    devices: dict[Any, None] = {}
    out = dict(row)
    for name, value in row.items():
        if name in _GROUPS and isinstance(value, Mapping):
            out[name] = {key: _copied(slot, devices, (name, key), part) for key, part in value.items()}
        else:
            out[name] = _copied(slot, devices, (name, ""), value)
    if devices or slot.events:
        cuda = sys.modules["torch"].cuda
        slot.events = {device: slot.events.get(device) or cuda.Event() for device in devices}
        for device, event in slot.events.items():
            event.record(cuda.current_stream(device))
    return out


def _copied(slot: Slot, devices: dict[Any, None], place: tuple[str, str], value: Any) -> Any:
    if getattr(value, "is_cuda", False):
        source = value.detach()
        host, array = slot.hosts.get(place, (None, None))
        if host is None or host.dtype != source.dtype or host.shape != source.shape:
            host = sys.modules["torch"].empty(source.shape, dtype=source.dtype, pin_memory=True)
            array = as_array("/".join(filter(None, place)), None, host)
            slot.hosts[place] = host, array
        host.copy_(source, non_blocking=True)
        devices[source.device] = None
        return array
    if hasattr(value, "copy_to_host_async"):
        own = value.copy()  # a step that donates its arguments may take the array away
        own.copy_to_host_async()
        return own
    if isinstance(value, np.ndarray):
        return value.copy()
    if hasattr(value, "detach") and hasattr(value, "clone"):
        return value.detach().clone()
    return copy.deepcopy(value)
