"""Triggered capture: what came before something happened, and what came after, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from recorder.admission import as_index
from recorder.errors import InputError, OptionError
from recorder.integrations.kept import KeptRows
from recorder.recording import Recording

ARMED, BEGUN, ENDED = "capture_armed", "capture", "capture_end"
"""Types of the events that tell what an episode holds."""


class Triggered:
    """Log every step here, and have stored the last ones and the next ones whenever something fires.

    Steps are calls of :meth:`log`. The last ``before`` of them are kept as copies in arrays that are made
    once. When :meth:`trigger` is called, or ``predicate`` holds of a step, they are logged into the
    recording, that step being the last of them, and so are the next ``after`` steps; what fires meanwhile
    extends them. Stored is what plain calls of ``log()`` with just these steps would store, and events:

    ``capture_armed``
        At an episode's first step: ``{"before": …, "after": …}``. Other steps are missing on purpose.
    ``capture``
        At the step that fired: ``{"reason": …, "first": timestep, "steps": how many were kept}``.
    ``capture_end``
        At the last step of the capture: ``{"steps": how many all in all}``.

    Steps that are kept and not stored end with the process; what is stored is as safe as ever. Use it in
    place of the exporter; integrations take it as well. An episode's own ``log_…`` methods store at once.

    Parameters
    ----------
    exporter : DataExporter
        With ``neural_sampling_rate=1``, or rates by variable, which count in stored steps then.
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
        Numbers that are none, or an exporter that would store each hundredth state only.
    """

    def __init__(
        self,
        exporter: Recording,
        before: int,
        after: int,
        predicate: Callable[..., Any] | None = None,
    ) -> None:
        rate = exporter.options.neural_sampling_rate
        if not isinstance(rate, Mapping) and rate > 1:
            raise OptionError(f"captures are at full rate: neural_sampling_rate=1, and not {rate}")
        self.before, self.after = _count("before", before, 1), _count("after", after, 0)
        self.exporter = exporter
        self._predicate = predicate
        self._kept = KeptRows(exporter.options, self.before)
        self._episode: Any = None
        self._asked: str | None = None
        self._capturing = self._armed = False
        self._left = self._stored = self._last = 0

    @property
    def current_episode(self) -> Any:
        """The exporter's."""
        return self.exporter.current_episode

    @property
    def capturing(self) -> bool:
        """Whether the next step will be stored whatever it is."""
        return self._capturing and self.exporter.current_episode is self._episode

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that hold the steps before."""
        return self._kept.nbytes

    def start_episode(self, episode_id: int | None = None) -> Any:
        """See :meth:`recorder.DataExporter.start_episode`; nothing is kept of the episode before."""
        return self.exporter.start_episode(episode_id)

    def end_episode(self, success: bool = False, summary: Mapping[str, Any] | None = None) -> None:
        """See :meth:`recorder.DataExporter.end_episode`; a capture ends, and what is kept is let go."""
        if self.capturing:
            self._finish()
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
        """
        exporter = self.exporter
        if self._episode is None or exporter.current_episode is not self._episode:
            self._enter()
        self._last = self._kept.keep(
            timestep, neural_state, spikes, behavior, reward, more, exporter._n_neurons
        )
        if not self._armed:
            exporter.log(self._last, event_type=ARMED, data={"before": self.before, "after": self.after})
            self._armed = True
        reason = self._asked
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
        elif self._capturing:
            self._release()
            self._left -= 1
            if self._left <= 0:
                self._finish()

    def trigger(self, reason: str = "trigger") -> None:
        """Store what is kept, and the next ``after`` steps.

        Where nothing is kept, as before an episode's first step, it fires with the step that comes.

        Raises
        ------
        NoEpisodeError, ClosedError
        """
        self._enter()
        if self._kept.count or self.capturing:
            self._fire(reason)
        else:
            self._asked = str(reason)

    def _enter(self) -> None:
        """Notice an episode that has begun since."""
        self.exporter._require_open()
        episode = self.exporter._require_episode()
        if episode is not self._episode:
            self._episode, self._asked, self._armed, self._capturing = episode, None, False, False
            self._kept.forget()

    def _fire(self, reason: str) -> None:
        if not self._capturing:
            told = {"reason": str(reason), "first": self._kept.first_step(), "steps": self._kept.count}
            self.exporter.log(self._last, event_type=BEGUN, data=told)
            self._capturing, self._stored = True, 0
        self._asked, self._left = None, self.after
        self._release()
        if not self._left:
            self._finish()

    def _release(self) -> None:
        kept = self._kept
        while kept.count:
            try:
                self.exporter.log(**kept.oldest())
            except InputError:
                kept.pop()  # never to be stored, as the error says: it must not hold up the others
                raise
            kept.pop()
            self._stored += 1

    def _finish(self) -> None:
        self._capturing = False
        self.exporter.log(self._last, event_type=ENDED, data={"steps": self._stored})


def _count(name: str, value: Any, least: int) -> int:
    count = as_index(value)
    if count is None or count < least:
        raise OptionError(f"{name} must be a number of steps, an int of at least {least}, got {value!r}")
    return count
