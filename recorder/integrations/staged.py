"""Tensors from a GPU, without waiting for it at every step: copies begin now, and are logged steps later."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Mapping
from functools import partial
from operator import call
from types import TracebackType
from typing import Any, Self

from recorder.admission import as_index
from recorder.errors import ConcurrentLogError, OptionError, RingFullError, StateError, WriteError
from recorder.exporter import DataExporter
from recorder.integrations.hostcopies import Slot, is_there, on_device
from recorder.integrations.target import Target, require_target
from recorder.recording import Recording

_FOR_NOW = (RingFullError, WriteError, ConcurrentLogError)
"""With these nothing of a call was stored, and it may be made again. All others are for good."""


class Staged:
    """Stands before an exporter and takes tensors on a GPU.

    A CUDA tensor of torch is copied into pinned memory, in the order of its current stream, so that it may be
    changed in place by what follows; a JAX array is copied on its device, and from there to the host.
    Neither waits. A row is logged when ``steps`` further rows have come: only a GPU that is so far behind is
    waited for. Rows without anything on a device pass at once, unless others are before them.

    The last ``steps`` rows are not stored yet: they are lost when the process is killed, and errors about a
    value come so many calls later; they name its timestep. An episode that ends, here or at the exporter, and
    be it by an exception or a signal, has them stored first. A target that is no exporter, and has none as
    its ``exporter``, cannot see to that: there end episodes here, or :meth:`flush` before.

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
        require_target(target, "Staged")
        count = as_index(steps)
        if count is None or count < 1:
            raise OptionError(f"steps must be an int of at least 1, got {steps!r}")
        self._target = target
        exporter = getattr(target, "exporter", target)
        self._exporter = exporter if isinstance(exporter, Recording) else None
        self._sampled = target if isinstance(target, DataExporter) and _leaves_out(target) else None
        self._steps, self._free = count, [Slot() for _ in range(count + 1)]
        self._pending: deque[tuple[Slot, Any, dict[str, Any]]] = deque()
        """With the episode that it belongs to, what is to be logged."""
        self._lock = threading.RLock()

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
        self._settle()
        return self._target.start_episode(episode_id)

    def end_episode(self, success: bool = False, summary: Mapping[str, Any] | None = None) -> None:
        """See :meth:`recorder.DataExporter.end_episode`; rows under way are logged before."""
        self._settle()
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
        """See :meth:`recorder.DataExporter.log`; errors may be those of a row before.

        Raises
        ------
        InputError, StateError
            Of this row, or of the oldest under way, whose timestep it names; this one is under way then.
        RingFullError, WriteError, ConcurrentLogError
            The oldest row cannot be stored now, and stays; nothing of this call was taken.
        """
        row = dict(
            timestep=timestep,
            neural_state=self._looked_at(timestep, neural_state) if self._sampled else neural_state,
            spikes=spikes,
            behavior=behavior,
            reward=reward,
            **more,
        )
        episode = self._target.current_episode
        if episode is None or not (self._pending or on_device(row)):
            self._target.log(**row)
            return
        with self._lock:
            slot = self._free.pop() if self._free else Slot()
            self._pending.append((slot, episode, slot.begin(row)))
            if self._exporter is not None and len(self._pending) == 1:
                self._exporter._under_way.add(self._settle)
            if len(self._pending) > self._steps:
                try:
                    self._finish()
                except Exception as error:
                    if isinstance(error, _FOR_NOW):
                        self._pending.pop()  # and its slot, into which copies are under way
                    raise

    def flush(self) -> None:
        """Wait for all rows that are under way, and log them.

        Raises
        ------
        InputError, StateError
            Of the first row that was refused, with notes of the others; all that are not were stored.
        RingFullError, WriteError, ConcurrentLogError
            A row cannot be stored now; it stays under way, and so do those after it.
        """
        first: Exception | None = None
        with self._lock:
            while self._pending:
                try:
                    self._finish()
                except Exception as error:
                    if isinstance(error, _FOR_NOW):
                        _tell(error, first)
                        raise
                    _tell(first, error)
                    first = first or error
            if self._exporter is not None:
                self._exporter._under_way.discard(self._settle)
        if first is not None:
            raise first

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._settle()
            return
        try:
            self._settle()
        except Exception as second:
            error.add_note(f"Logging the rows under way failed too: {second}")

    def __del__(self) -> None:
        # Where there is an exporter, it has a reference as long as there are any.
        if lost := len(getattr(self, "_pending", ())):
            warnings.warn(f"{lost} staged rows were never stored: nobody called flush()", stacklevel=1)

    def _looked_at(self, step: Any, states: Any) -> Any:
        """States without those on a GPU that sampling is certain to leave out, whatever is under way."""
        exporter = self._sampled
        if exporter is None or type(step) is not int or not isinstance(states, Mapping):
            return states
        return {
            key: None if is_there(value) and exporter._passes_over(key, step) else value
            for key, value in states.items()
        }

    def _finish(self) -> None:
        oldest = self._pending[0]
        slot, episode, row = oldest
        slot.wait()
        if not self._pending or self._pending[0] is not oldest:
            return  # a signal's handler has flushed meanwhile
        try:
            if self._target.current_episode is not episode:
                raise StateError(
                    f"timestep {row['timestep']!r} was under way when its episode ended, and is not stored: "
                    "end episodes through Staged, or flush() before"
                )
            # In one call of C: between two of Python's, Ctrl-C would leave a stored row under way.
            both: tuple[Any, Any] = partial(self._target.log, **row), self._pending.popleft
            deque(map(call, both), maxlen=0)
        except Exception as error:
            if isinstance(error, _FOR_NOW):
                raise
            self._pending.popleft()
            self._free.append(slot)
            raise
        self._free.append(slot)

    def _settle(self) -> None:
        """Log all rows, because their episode ends; the exporter calls this as well."""
        try:
            try:
                self.flush()
            except RingFullError:
                if not isinstance(self._exporter, DataExporter):
                    raise
                self._exporter.flush()  # which makes room
                self.flush()
        except BaseException as error:
            if self._pending:
                rows, step = len(self._pending), self._pending[0][2]["timestep"]
                error.add_note(f"{rows} staged rows, from timestep {step!r} on, are not stored.")
            raise


def _leaves_out(exporter: DataExporter) -> bool:
    rate = exporter.neural_sampling_rate
    rates = rate.values() if isinstance(rate, Mapping) else [rate]
    return type(exporter).log is DataExporter.log and any(each > 1 for each in rates)


def _tell(error: Exception | None, other: Exception | None) -> None:
    if error is not None and other is not None:
        error.add_note(f"Refused too: {type(other).__name__}: {other}")
