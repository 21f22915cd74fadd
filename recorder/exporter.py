"""DataExporter: the recorder that a loop logs into."""

from __future__ import annotations

import atexit
import os
import shutil
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from recorder.errors import NoEpisodeError
from recorder.format.layout import RING_SUFFIX, episode_path
from recorder.h5.chunking import Chunking
from recorder.h5.file import create, open_snapshot
from recorder.h5.lock import RecordingLock
from recorder.h5.sink import Sink
from recorder.h5.skeleton import finish
from recorder.h5.tree import put_encoded
from recorder.handle import EpisodeHandle
from recorder.meter import Meter
from recorder.options import RecordingOptions
from recorder.recording import Recording
from recorder.ring.arena import Ring
from recorder.ring.record import END, START
from recorder.ringbatch import log_batch
from recorder.saving import Change
from recorder.steplog import Given, StepLog
from recorder.writer import Writer

_open: weakref.WeakSet[DataExporter] = weakref.WeakSet()
_held: list[DataExporter] = []
"""Exporters whose writers rest while a fork is made."""


class Episode(EpisodeHandle):
    """One episode of a :class:`DataExporter`."""

    def __init__(self, recording: DataExporter, episode_id: int, steps: StepLog) -> None:
        super().__init__(recording, episode_id)
        self._exporter, self._steps = recording, steps

    @property
    def timestep_count(self) -> int:
        """Calls so far that carried a timestep's data."""
        return self._steps.timestep_count

    @property
    def group(self) -> Any:
        """The episode's ``h5py.Group``, read-only, with what was committed when it is asked for."""
        return self._exporter.h5_file[episode_path(self.episode_id)]


class DataExporter(Recording):
    """Record a simulation into one plain HDF5 file, a microsecond a step, nothing lost to a kill.

    Parameters
    ----------
    experiment_name : str
        Names the folder ``<output_base_dir>/<experiment_name>_<YYYYmmdd_HHMMSS>/``.
    output_base_dir : path, default "experiments"
    neural_sampling_rate : int or mapping, default 100
        Keep a neural-state row when at least this many timesteps passed since the last kept one; 1
        keeps all. A mapping gives variables rates of their own: ``{"v": 100, "w": 10}``.
    validate_data : bool, default True
        Warn about suspicious values. Types and shapes are enforced always.
    compression : str or None, default "gzip"
        ``"gzip"``, ``"lzf"``, ``"szip"``, None, or a filter of hdf5plugin by name (``"zstd"``).
    compression_level : int, default 4
    chunk_size : int, default 10000
        Rows of an HDF5 chunk, as long as it stays below 1 MiB.
    enable_swmr : bool, default False
        Hand what was logged to the file at least every ``flush_interval`` seconds. (The file can be
        opened by SWMR readers in any case; without this, a slow simulation's rows come in larger steps.)
    async_write : bool, default False
        Encode and write on a thread of its own, which has the whole ring to catch up when the disk stalls.
        False does it on the caller's thread whenever a block is full: deterministic, as fast or faster,
        and with a fraction of the memory; decision 9 of the format has the figures.
    ring_bytes : int, default 64 MiB
        Size of the ring that holds logged steps until they are in the file.
    on_full : {"wait", "raise", "drop"}
        When the ring is full: wait for the writer, raise RingFullError, or drop the step and count it.
    flush_interval : float, default 1.0
        Seconds; see ``enable_swmr``.
    durability : {"process", "fsync"}
        What committed rows survive: the death of the process, or also a power cut.
    spike_format : {"auto", "dense", "indices"}
        What ``spikes`` are; ``"auto"`` refuses integer lists that could be either.
    n_neurons : int, optional
        Number of neurons, where spikes are indices.
    progress : bool, default False
        Show a progress line with steps and steps per second.

    Raises
    ------
    OptionError
        An argument that cannot be what it is.
    OSError
        The folder cannot be written, or has no room for the ring.
    """

    exporter_name = "optimized"

    def __init__(
        self,
        experiment_name: str,
        output_base_dir: str | Path = "experiments",
        neural_sampling_rate: int | Mapping[str, int] = 100,
        validate_data: bool = True,
        compression: str | None = "gzip",
        compression_level: int | None = 4,
        chunk_size: int = 10_000,
        enable_swmr: bool = False,
        async_write: bool = False,
        *,
        ring_bytes: int = 64 << 20,
        on_full: str = "wait",
        flush_interval: float = 1.0,
        durability: str = "process",
        spike_format: str = "auto",
        n_neurons: int | None = None,
        progress: bool = False,
    ) -> None:
        options = RecordingOptions(
            experiment_name=experiment_name,
            output_base_dir=output_base_dir,
            neural_sampling_rate=neural_sampling_rate,
            validate_data=validate_data,
            compression=compression,
            compression_level=compression_level,
            chunk_size=chunk_size,
            enable_swmr=enable_swmr,
            async_write=async_write,
            ring_bytes=ring_bytes,
            on_full=on_full,
            flush_interval=flush_interval,
            durability=durability,
            spike_format=spike_format,
            n_neurons=n_neurons,
            progress=progress,
        )
        chunking = Chunking.of(options.compression, options.compression_level, options.chunk_size)
        super().__init__(options)
        self._steps: StepLog | None = None
        self._expected_rows = 0
        self._snapshot: Any = None
        self._direct = type(self).log is DataExporter.log
        self._meter = Meter(options.progress, options.experiment_name)
        self._lock = RecordingLock(self.h5_path)
        try:
            self._lock.acquire()
            create(self.h5_path, self._initialise)
            ring = self.h5_path.with_name(self.h5_path.name + RING_SUFFIX)
            self._ring = Ring.create(ring, options.ring_bytes)
            sink = Sink(self.h5_path, chunking, sync=options.durability == "fsync")
        except BaseException:
            self._lock.release()
            # The folder was made for this recording, and nothing was logged into it.
            shutil.rmtree(self.output_dir, ignore_errors=True)
            raise
        self._writer = Writer(
            self._ring,
            sink,
            threaded=options.async_write,
            on_full=options.on_full,
            tick=options.flush_interval if options.enable_swmr else None,
        )
        self._writer.on_attention = self._call_in
        _open.add(self)

    def log(
        self,
        timestep: Any = None,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
        **more: Any,
    ) -> None:
        """Log one timestep's data, a weight change, an event, or any of them together.

        Values are copied. A stream's dtype and row shape are fixed by its first value in the episode;
        keys may come late or be missing, and then have timesteps of their own.

        Parameters
        ----------
        timestep : int
            Required. Order is free; sampling counts in timesteps.
        neural_state : mapping of str to array_like, optional
            Rows of any dimension, sampled by ``neural_sampling_rate``.
        spikes : array_like or SpikeIndices, optional
            A dense vector ``(neurons,)`` of any numeric or bool type, whose non-zero entries are spikes and
            keep their values, or declared neuron indices.
        behavior : mapping of str to array_like, optional
            Every row is kept.
        reward : float, optional
        synapse_id, old_weight, new_weight
            A weight change: an int or (source, target), two real numbers; further keywords are numbers
            stored beside it.
        event_type, data
            An event: a name, and a mapping of any nesting.

        Raises
        ------
        InputError
            Something in the call cannot be stored as it is; nothing of the call was.
        NoEpisodeError, ClosedError
        WriteError
            The writer met an error since the last call.
        """
        steps = self._steps
        if steps is None:
            self._require_open()
            raise NoEpisodeError("No active episode. Call start_episode() first.")
        function = steps.function
        if function is None:
            steps.admit(timestep, neural_state, spikes, behavior, reward, more)
        else:
            function.log(timestep, neural_state, spikes, behavior, reward, **more)

    def log_batch(
        self,
        timesteps: Any,
        neural_state: Mapping[str, Any] | None = None,
        spikes: Any = None,
        behavior: Mapping[str, Any] | None = None,
        reward: Any = None,
    ) -> None:
        """Log many timesteps at once; stores what as many calls of :meth:`log` would.

        Parameters
        ----------
        timesteps : array_like of int, shape (steps,)
        neural_state, behavior : mapping of str to array_like, shape (steps, ...)
        spikes : array_like, shape (steps, neurons)
        reward : array_like, shape (steps,)

        Raises
        ------
        InputError
            Arrays that do not fit each other or the streams so far; nothing was stored.
        """
        steps = self._steps
        if steps is None:
            self._require_open()
            raise NoEpisodeError("No active episode. Call start_episode() first.")
        self._writer.check()
        log_batch(steps, timesteps, neural_state, spikes, behavior, reward)

    @property
    def h5_file(self) -> Any:
        """A read-only ``h5py.File`` of what is committed when it is asked for.

        The file itself belongs to the writer. Each access lets go of the handle before it.
        """
        if not self._closed:
            self._writer.drain()
        self._close_snapshot()
        self._snapshot = open_snapshot(self.h5_path)
        return self._snapshot

    def _apply(self, change: Change) -> None:
        self._writer.change(change)

    def _begin_episode(self, episode_id: int, start: dict[str, Any]) -> Episode:
        start = {**start, "dropped_before": self._ring.dropped}
        record = self._writer.append(START, {"start": start}, wait=True)
        assert record is not None
        self._writer.seal(record)
        steps = StepLog(
            self._writer,
            self.options,
            self._n_neurons,
            expected_rows=self._expected_rows,
            install=self._install,
            elsewhere=self.log,
            on_new=self._on_new,
            on_sealed=self._meter.add,
        )
        self._steps = steps
        self._uninstall()
        return Episode(self, episode_id, steps)

    def _finish_episode(self, end: dict[str, Any], final_state: Change | None) -> None:
        steps = self._steps
        assert steps is not None
        steps.close()
        self._uninstall()
        self._expected_rows = steps.timestep_count
        end["dropped_timesteps"] = steps.dropped
        if final_state is not None:
            self._writer.change(final_state)
        summary = end.get("summary", "")
        if 4 * len(summary) > self._ring.largest_record:
            del end["summary"]
            path = episode_path(self._episode_id())
            self._writer.change(lambda file: put_encoded(file[path], "summary", summary.encode("ascii")))
        record = self._writer.append(END, {"end": end}, wait=True)
        assert record is not None
        self._writer.seal(record)
        self._steps = None

    def _close_file(self, status: str) -> None:
        _open.discard(self)
        self._close_snapshot()
        self._meter.close()
        self._uninstall()
        try:
            if not self._writer.failed:
                now, count = datetime.now().isoformat(), self.episode_count
                self._writer.change(
                    lambda file: finish(file, status=status, end_time=now, episode_count=count)
                )
        finally:
            try:
                self._writer.close()
            finally:
                self._ring.close(unlink=not self._writer.failed and self._writer.settled)
                self._lock.release()

    def _episode_id(self) -> int:
        assert self.current_episode is not None
        return self.current_episode.episode_id

    def _install(self, function: Callable[..., None]) -> None:
        # An instance attribute saves the bound method and one call; a subclass that has its own log keeps it.
        if self._direct:
            self.__dict__["log"] = function

    def _uninstall(self) -> None:
        self.__dict__.pop("log", None)

    def _call_in(self) -> None:
        """From the writer's thread: have the next log() look at errors and hand its block over."""
        steps = self._steps
        if steps is not None:
            steps.retire()

    def _on_new(self, step: int, new: Given) -> None:
        values: dict[str, Any] = {}
        for stream, value in new.values():
            if stream.key:
                values.setdefault(_ARGUMENTS[stream.group], {})[stream.key] = value
            else:
                values[_ARGUMENTS[stream.group]] = value
        self._warn_about(step, **values)

    def _close_snapshot(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _disown(self) -> None:
        """In a forked child: the recording is the parent's, so nothing here may touch it."""
        self._closed = True
        self._uninstall()
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.disown()
        self._writer.disown()


_ARGUMENTS = {
    "neural_states": "neural_state",
    "spikes": "spikes",
    "behavior": "behavior",
    "rewards": "reward",
}


def _close_all() -> None:
    for exporter in list(_open):
        exporter.__exit__(SystemExit, SystemExit("the interpreter ended before close()"), None)


def _hold_all() -> None:
    for exporter in list(_open):
        exporter._writer.busy.acquire()
        _held.append(exporter)


def _release_all() -> None:
    while _held:
        _held.pop()._writer.busy.release()


def _disown_all() -> None:
    for exporter in list(_held):
        exporter._disown()
    _release_all()


atexit.register(_close_all)
os.register_at_fork(before=_hold_all, after_in_parent=_release_all, after_in_child=_disown_all)

OptimizedDataExporter = DataExporter
OptimizedEpisode = Episode
