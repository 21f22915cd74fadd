"""The plain exporter: same interface and layout as the fast one, one h5py write per value.

It is the oracle that the fast exporter is tested against, and the baseline that it is measured against.
A process that is killed may leave an unreadable file; only the fast exporter promises otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from recorder.batch_input import admit_batch
from recorder.errors import WriteError
from recorder.format.layout import BEHAVIOR, NEURAL, REWARDS, SPIKES
from recorder.h5.plain import PlainEpisode, create_file
from recorder.h5.skeleton import create_episode, finish, last_attributes, put_contents
from recorder.handle import EpisodeHandle
from recorder.options import RecordingOptions
from recorder.recording import Recording
from recorder.rowcode import concurrent_log
from recorder.saving import Change
from recorder.spike_input import DENSE, INDICES
from recorder.streams import Call, Streams

CHUNK_ROWS = 1000


class StandardEpisode(EpisodeHandle):
    """An episode of a :class:`StandardDataExporter`."""

    def __init__(self, recording: StandardDataExporter, episode_id: int, plain: PlainEpisode) -> None:
        super().__init__(recording, episode_id)
        self.plain = plain
        self.streams = Streams(recording.options)

    @property
    def timestep_count(self) -> int:
        """Calls so far that carried a timestep's data."""
        return int(self.plain.totals["total_timesteps"])

    @property
    def group(self) -> Any:
        """The episode's ``h5py.Group``."""
        return self.plain.group


class StandardDataExporter(Recording):
    """Record a simulation, plainly: everything is in HDF5's hands when a call returns.

    Parameters
    ----------
    experiment_name, output_base_dir
        The recording is the folder ``<output_base_dir>/<experiment_name>_<YYYYmmdd_HHMMSS>``.
    neural_sampling_rate : int or mapping of variable to int
        Keep a neural-state row when at least this many timesteps passed since the last kept one.
    validate_data : bool
        Warn about what looks suspicious in the first value of each stream, and in the network.
    compression, compression_level
        ``gzip`` 0–9, ``lzf``, ``szip``, a filter of hdf5plugin by name, or None.
    spike_format : str
        ``auto``, ``dense`` or ``indices``: how to understand integers given as spikes.
    n_neurons : int, optional
        Number of neurons, needed for spike indices where no network structure was saved.
    precision : mapping of str to float, optional
        How far a stored value may be from the logged one, by stream: ``{"v": 1e-3}``.

    Raises
    ------
    OptionError
        An argument that cannot be what it is.
    """

    exporter_name = "standard"

    def __init__(
        self,
        experiment_name: str,
        output_base_dir: str | Path = "experiments",
        neural_sampling_rate: int | Mapping[str, int] = 100,
        validate_data: bool = True,
        compression: str | None = "gzip",
        compression_level: int | None = 4,
        *,
        spike_format: str = "auto",
        n_neurons: int | None = None,
        precision: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(
            RecordingOptions(
                experiment_name=experiment_name,
                output_base_dir=output_base_dir,
                neural_sampling_rate=neural_sampling_rate,
                validate_data=validate_data,
                compression=compression,
                compression_level=compression_level,
                chunk_size=CHUNK_ROWS,
                spike_format=spike_format,
                n_neurons=n_neurons,
                precision=precision,
            )
        )
        self._logging = False
        self.h5_file: Any = create_file(self.h5_path)
        self._apply(self._initialise)

    def log(
        self,
        timestep: Any = None,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
        *,
        synapse_id: Any = None,
        old_weight: Any = None,
        new_weight: Any = None,
        event_type: str | None = None,
        data: Mapping[str, Any] | None = None,
        **extra: Any,
    ) -> None:
        """Log one timestep's data, a weight change, an event, or any of them together.

        Parameters
        ----------
        timestep : int
            Needed always; any order, repetitions too.
        neural_state, behavior : mapping of name to value
            Numbers or arrays of any shape. A stream's first value in an episode fixes its dtype and
            shape. Neural state is sampled; a value that is not due is not looked at.
        spikes : array_like, shape (neurons,), or SpikeIndices
            Every non-zero entry is a spike, its value kept unless it is bool.
        reward : float
        synapse_id : int or (int, int)
            With ``old_weight`` and ``new_weight`` a weight change, further keywords its columns.
        event_type : str
            With ``data`` an event.

        Raises
        ------
        InputError
            Something in the call cannot be stored; nothing of the call was.
        NoEpisodeError, ClosedError
        WriteError
            HDF5 could not write.
        """
        side = {
            "synapse_id": synapse_id,
            "old_weight": old_weight,
            "new_weight": new_weight,
            "event_type": event_type,
            "data": data,
            **extra,
        }
        more = {key: value for key, value in side.items() if value is not None}
        self._log(timestep, neural_state, spikes, behavior, reward, more, self.options.spike_format)

    def log_batch(
        self,
        timesteps: Any,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
    ) -> int:
        """Log many timesteps, row by row.

        Parameters
        ----------
        timesteps : int array, shape (steps,)
        neural_state, behavior : mapping of name to array, shape (steps, ...)
        spikes : array, shape (steps, neurons)
            Dense.
        reward : array, shape (steps,)

        Returns
        -------
        int
            Steps that were stored: all of them.

        Raises
        ------
        InputError
            Shapes or dtypes that do not fit; nothing was stored.
        """
        self._active()
        times, columns = admit_batch(
            timesteps,
            neural_state,
            spikes,
            behavior,
            reward,
            index_lists=self.options.spike_format == INDICES,
        )
        # All rows of an array have one dtype and shape: what the first row passes, all rows pass.
        for i in range(len(times)):
            row: dict[str, Any] = {NEURAL: None, BEHAVIOR: None, SPIKES: None, REWARDS: None}
            for name, column in columns.items():
                group, _, key = name.partition("/")
                row[group] = {**(row[group] or {}), key: column[i]} if key else column[i]
            self._log(times[i], row[NEURAL], row[SPIKES], row[BEHAVIOR], row[REWARDS], {}, DENSE)
        return len(times)

    def _log(
        self,
        timestep: Any,
        neural_state: Any,
        spikes: Any,
        behavior: Any,
        reward: Any,
        more: Mapping[str, Any],
        spike_format: str,
    ) -> None:
        if self._logging:
            raise concurrent_log(timestep)
        self._logging = True
        try:
            self._store(timestep, neural_state, spikes, behavior, reward, more, spike_format)
        finally:
            self._logging = False

    def _store(
        self,
        timestep: Any,
        neural_state: Any,
        spikes: Any,
        behavior: Any,
        reward: Any,
        more: Mapping[str, Any],
        spike_format: str,
    ) -> None:
        episode = self._active()
        call, streams = episode.streams.admit(
            timestep,
            neural_state,
            spikes,
            behavior,
            reward,
            more,
            n_neurons=self._n_neurons,
            spike_format=spike_format,
        )
        if call.new:
            self._warn_about(call.step, **call.new)
        try:
            _write(episode.plain, call, streams)
        except (OSError, RuntimeError) as error:
            raise WriteError(f"{self.h5_path}: {error}") from error
        episode.streams = streams

    def _active(self) -> StandardEpisode:
        self._require_open()
        episode = self._require_episode()
        assert isinstance(episode, StandardEpisode)
        return episode

    def _apply(self, change: Change) -> None:
        change(self.h5_file)
        self.h5_file.flush()

    def _begin_episode(self, episode_id: int, start: dict[str, Any]) -> StandardEpisode:
        group = create_episode(self.h5_file, episode_id, start)
        self.h5_file.flush()
        return StandardEpisode(
            self, episode_id, PlainEpisode(group, self._filters, CHUNK_ROWS, self.options.precisions)
        )

    def _finish_episode(self, end: dict[str, Any], final_state: Change | None) -> None:
        episode = self._active()
        if final_state is not None:
            final_state(self.h5_file)
        put_contents(episode.plain.group, last_attributes(episode.plain.totals, end))
        self.h5_file.flush()

    def _close_file(self, status: str) -> None:
        try:
            finish(
                self.h5_file,
                status=status,
                end_time=datetime.now().isoformat(),
                episode_count=self.episode_count,
            )
            self._sign(self.h5_file)
        finally:
            self.h5_file.close()


def _write(plain: PlainEpisode, call: Call, streams: Streams) -> None:
    for group, values in call.kept.items():
        plain.write_values(group, call.step, values)
    if call.spikes is not None and streams.spikes is not None:
        plain.write_spikes(call.step, streams.spikes, call.spikes)
    if call.reward is not None:
        plain.write_reward(call.step, call.reward)
    if call.weight is not None:
        plain.write_weight_change(call.weight)
    if call.event is not None:
        plain.write_event(call.step, call.event)
    if call.row:
        plain.totals["total_timesteps"] += 1
