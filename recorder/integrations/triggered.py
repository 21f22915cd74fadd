"""Triggered capture: what came before something happened, and what came after, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any

from recorder.admission import admit_timestep, as_index
from recorder.errors import ConcurrentLogError, OptionError, StateError
from recorder.exporter import DataExporter
from recorder.format.layout import ENDED_BY, INTERRUPTED

ARMED, BEGUN, ENDED = "capture_armed", "capture", "capture_end"
"""Types of the events that tell what an episode holds."""


class Triggered:
    """Log every step here, and have stored the last ones and the next ones whenever something fires.

    Steps are calls of :meth:`log` with a timestep's data. The last ``before`` of them stay in the
    exporter's ring, which they cost what any step costs. When :meth:`trigger` is called, or ``predicate``
    holds of a step, they are stored, that step being the last of them, and so are the next ``after``
    steps; what fires meanwhile extends them. Stored is what plain calls of ``log()`` with just these steps
    would store, and events:

    ``capture_armed``
        At an episode's first step: ``{"before": …, "after": …}``. Other steps are missing on purpose.
    ``capture``
        At the step that fired: ``{"reason": …, "first": timestep, "steps": how many were kept}``. They are
        fewer than ``before`` at an episode's beginning, after another capture, and where later steps take
        so much more room than the first ones that the ring cannot hold all: a ShortCaptureWarning tells.
    ``capture_end``
        At the last step of the capture: ``{"steps": how many all in all}``.

    The end of a program fires as well: by an exception or a signal, with its name as the reason; and where
    the process is killed, the last ``before`` steps are in the ring, and the repair stores them, without an
    event. An episode that ends as it should takes with it what is kept.

    Use it in place of the exporter; integrations take it as well. Whatever else is logged into the episode
    meanwhile, events and weight changes too, is kept with the step before it. Checkpoints, static data
    and metadata are stored at once.

    Parameters
    ----------
    exporter : DataExporter
        With ``neural_sampling_rate=1``, and ``ring_bytes`` for what is to be kept, and a half more.
    before : int
        Steps to keep, at least 1.
    after : int
        Further steps to store, at least 0.
    predicate : callable, optional
        ``predicate(timestep=…, neural_state=…, spikes=…, behavior=…, reward=…, **more)``, called with each
        step as it was logged; whatever is true fires.

    Raises
    ------
    OptionError
        Numbers that are none, or an exporter that would store each hundredth state only or has no ring.
    """

    def __init__(
        self,
        exporter: DataExporter,
        before: int,
        after: int,
        predicate: Callable[..., Any] | None = None,
    ) -> None:
        if not isinstance(exporter, DataExporter):
            raise OptionError(
                f"steps are kept in the ring of a DataExporter, and {type(exporter).__name__} has none"
            )
        rate = exporter.options.neural_sampling_rate
        rates = rate.values() if isinstance(rate, Mapping) else [rate]
        if any(one > 1 for one in rates):
            raise OptionError(f"captures are at full rate: neural_sampling_rate=1, and not {rate}")
        self.before, self.after = _count("before", before, 1), _count("after", after, 0)
        self.exporter = exporter
        self._predicate = predicate
        self._episode: Any = None
        self._asked: tuple[Any, str] | None = None
        self._thread = 0
        self._capturing = False
        self._last: Any = None
        self._left = self._stored = 0

    @property
    def current_episode(self) -> Any:
        """The exporter's."""
        return self.exporter.current_episode

    @property
    def capturing(self) -> bool:
        """Whether the next step will be stored whatever it is."""
        return self._capturing and self.exporter.current_episode is self._episode

    def start_episode(self, episode_id: int | None = None) -> Any:
        """See :meth:`recorder.DataExporter.start_episode`; nothing is kept of the episode before."""
        return self.exporter.start_episode(episode_id)

    def end_episode(self, success: bool = False, summary: Mapping[str, Any] | None = None) -> None:
        """See :meth:`recorder.DataExporter.end_episode`; a capture ends, and what is kept is let go."""
        self.exporter.end_episode(success, summary)

    def save_metadata(self, metadata: Mapping[str, Any]) -> None:
        """See :meth:`recorder.DataExporter.save_metadata`."""
        self.exporter.save_metadata(metadata)

    def log(
        self,
        timestep: Any = None,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
        **more: Any,
    ) -> None:
        """Keep a step, and store it if it fires or belongs to a capture.

        Arguments and errors are those of :meth:`recorder.DataExporter.log`; what it refuses is refused here
        and now, whether or not it would be stored. What the predicate raises passes; the step is kept.

        Raises
        ------
        RowTooLargeError
            The ring has no room for so many steps.
        """
        exporter = self.exporter
        if self._episode is None or exporter.current_episode is not self._episode:
            self._enter(timestep)
        exporter.log(timestep, neural_state, spikes, behavior, reward, **more)
        self._last, self._thread = timestep, get_ident()
        if self._capturing:
            self._stored += 1
            self._left -= 1
        try:
            reason = None if self._asked is None else self._reason_asked()
            if reason is None and self._predicate is not None:
                holds = self._predicate(
                    timestep=timestep,
                    neural_state=neural_state,
                    spikes=spikes,
                    behavior=behavior,
                    reward=reward,
                    **more,
                )
                reason = "predicate" if holds else None
            if reason is not None:
                self._fire(reason)
        finally:
            if self._capturing and self._left <= 0:
                self._finish()

    def trigger(self, reason: str = "trigger") -> None:
        """Store what is kept, and the next ``after`` steps.

        Before an episode's first step, and from any other thread than the one that logs, it fires with the
        step that comes.

        Raises
        ------
        NoEpisodeError, ClosedError
        """
        self.exporter._require_open()
        episode = self.exporter._require_episode()
        if episode is not self._episode or self._last is None or get_ident() != self._thread:
            self._asked = episode, str(reason)
            return
        self._fire(str(reason))
        if self._left <= 0:
            self._finish()

    def _reason_asked(self) -> str | None:
        """What another thread, or nobody yet, had to say; None where that was of another episode."""
        (episode, reason), self._asked = self._asked, None  # type: ignore[misc]
        return reason if episode is self._episode else None

    def _enter(self, timestep: Any) -> None:
        """At the first step of an episode."""
        exporter = self.exporter
        exporter._require_open()
        episode = exporter._require_episode()
        step = admit_timestep(timestep)
        other = exporter._before_end
        if other is not None and other != self._before_end:
            raise StateError("another Triggered captures this episode; give both conditions to one of them")
        exporter.log(step, event_type=ARMED, data={"before": self.before, "after": self.after})
        exporter._before_end = self._before_end
        exporter._hold(self.before)
        self._episode, self._last, self._capturing = episode, None, False

    def _fire(self, reason: str) -> None:
        exporter = self.exporter
        if not self._capturing:
            # None where the step before was the last one of another capture.
            first, steps = exporter._held() or (self._last, 0)
            # First of all: what is held is stored, whether or not there is room for saying why.
            exporter._release()
            self._capturing, self._stored, self._left = True, steps, self.after
            told = {"reason": reason, "first": first, "steps": steps}
            exporter.log(self._last, event_type=BEGUN, data=told)
        self._left = self.after

    def _finish(self) -> None:
        self._capturing = False
        self.exporter.log(self._last, event_type=ENDED, data={"steps": self._stored})
        self.exporter._hold(self.before)

    def _before_end(self, end: Mapping[str, Any]) -> None:
        # A signal handler cannot log into the call that it interrupts; the steps are stored anyway.
        with contextlib.suppress(ConcurrentLogError):
            if end["status"] == INTERRUPTED and not self._capturing and self.exporter._held():
                self._fire(end.get(ENDED_BY) or INTERRUPTED)
            if self._capturing:
                self._capturing = False
                self.exporter.log(self._last, event_type=ENDED, data={"steps": self._stored})
        self._asked, self._capturing, self._episode = None, False, None


def _count(name: str, value: Any, least: int) -> int:
    count = as_index(value)
    if count is None or count < least:
        raise OptionError(f"{name} must be a number of steps, an int of at least {least}, got {value!r}")
    return count
