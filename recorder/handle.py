"""What ``start_episode`` returns: one episode, seen through its recording."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recorder.errors import NoEpisodeError
from recorder.format.layout import episode_path

if TYPE_CHECKING:
    from recorder.exporter import DataExporter
    from recorder.recording import Recording
    from recorder.steplog import StepLog


class EpisodeHandle(abc.ABC):
    """An episode that logs through its recording, so both ways of logging store the same.

    Attributes
    ----------
    episode_id : int
    """

    def __init__(self, recording: Recording, episode_id: int) -> None:
        self._recording = recording
        self.episode_id = episode_id

    @property
    @abc.abstractmethod
    def timestep_count(self) -> int:
        """Calls so far that carried a timestep's data."""

    @property
    @abc.abstractmethod
    def group(self) -> Any:
        """The episode's ``h5py.Group``."""

    def log_timestep(
        self,
        timestep: Any,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
    ) -> None:
        """Log one timestep; arguments and errors are those of the exporter's ``log``."""
        self._running().log(timestep, neural_state, spikes, behavior, reward)

    def log_weight_change(
        self, timestep: Any, synapse_id: Any, old_weight: Any, new_weight: Any, **extra: Any
    ) -> None:
        """Log one weight change: ``synapse_id`` an int or (source, target), further keywords numbers."""
        self._running().log(
            timestep, synapse_id=synapse_id, old_weight=old_weight, new_weight=new_weight, **extra
        )

    def log_event(self, event_type: str, timestep: Any, data: Mapping[str, Any]) -> None:
        """Log one event; ``data`` is any mapping that a document can hold."""
        self._running().log(timestep, event_type=event_type, data=data)

    def log_static_data(self, name: str, data: Mapping[str, Any]) -> None:
        """Store a mapping of values once, as the group ``name`` of the episode.

        Raises
        ------
        InputError, DuplicateError
        """
        self._running().log_static_episode_data(name, data)

    def end(self, success: bool = False, final_state: Mapping[str, Any] | None = None) -> None:
        """End the episode; ``final_state`` is stored as its group of that name.

        The recording has no active episode then: use its ``end_episode`` instead where there is a
        summary to store.

        Raises
        ------
        InputError
            ``final_state`` holds what cannot be stored; the episode goes on.
        NoEpisodeError
            It has ended before.
        """
        self._running()._finish(success=success, final_state=final_state)

    def _running(self) -> Recording:
        recording = self._recording
        recording._require_open()
        if recording.current_episode is not self:
            raise NoEpisodeError(f"Episode {self.episode_id} has ended.")
        return recording


class Episode(EpisodeHandle):
    """One episode of a :class:`recorder.DataExporter`."""

    def __init__(self, recording: DataExporter, episode_id: int, steps: StepLog) -> None:
        super().__init__(recording, episode_id)
        self._exporter, self.steps = recording, steps

    @property
    def timestep_count(self) -> int:
        """Calls so far that carried a timestep's data."""
        return self.steps.timestep_count

    @property
    def group(self) -> Any:
        """The episode's ``h5py.Group``, read-only, with what was committed when it is asked for."""
        return self._exporter.h5_file[episode_path(self.episode_id)]
