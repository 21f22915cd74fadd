"""DataExporter: the recorder that a loop logs into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from recorder.dropping import Drops
from recorder.errors import NoEpisodeError
from recorder.format.layout import INTERRUPTED, NEURAL, episode_path
from recorder.h5.lock import RecordingLock
from recorder.h5.tree import put_encoded
from recorder.handle import Episode
from recorder.hotpath import front
from recorder.opened import Opened
from recorder.options import FSYNC, RecordingOptions
from recorder.plan import Given, arguments_of
from recorder.resuming import Former
from recorder.ring.record import END, START, Description
from recorder.ringbatch import log_batch
from recorder.saving import Change
from recorder.steplog import StepLog


class DataExporter(Opened):
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
        Have what was logged in the file at most ``flush_interval`` seconds later, for tools that read it by
        HDF5 alone (``h5py.File(path, "r", swmr=True)`` and ``refresh()``); with ``compression`` other than
        gzip and None, whole chunks. It costs space: see note 22 of the format. Readers of flightrec need it
        not, and any can open the file in any case.
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
        What survives a power cut: nothing for certain, or what was logged before the last
        ``end_episode()``, checkpoint or :meth:`flush`, and else ``flush_interval`` before the last call.
        The death of the process takes nothing in either case.
    spike_format : {"auto", "dense", "indices"}
        What ``spikes`` are; ``"auto"`` refuses integer lists that could be either.
    n_neurons : int, optional
        Number of neurons, where spikes are indices.
    precision : mapping of str to float, optional
        How far a stored value may be from the logged one, by stream: ``{"v": 1e-3, "behavior/x": 0.01}``.
        Such floats are rounded to a power of two, which makes noise several times smaller. All else is
        stored exactly as it was logged.
    dimension_scales : bool, default False
        When the recording is closed, give its dense streams HDF5's dimension scales, by which programs for
        netCDF-4 know timesteps and neurons: ``xarray.open_datatree(path, engine="h5netcdf")``. Closing takes
        about a millisecond more a stream and episode, and thousands of episodes with vectors take longer. A
        killed recording has none; ``flightrec pack --scales`` gives them to any.
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
        precision: Mapping[str, float] | None = None,
        dimension_scales: bool = False,
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
            precision=precision,
            dimension_scales=dimension_scales,
            progress=progress,
        )
        self._open(options, None, None)

    def _open(self, options: RecordingOptions, lock: RecordingLock | None, former: Former | None) -> None:
        self._steps: StepLog | None = None
        self._ending: StepLog | None = None
        self._before_end: Callable[[dict[str, Any]], None] | None = None
        """Told of how the episode ends, before it does."""
        self._direct = type(self).log is DataExporter.log
        self._front = front(self.log) if self._direct else None
        super()._open(options, lock, former)
        if self._front is not None:
            self.__dict__["log"] = self._front

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
            raise self._no_episode()
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
    ) -> int:
        """Log many timesteps at once; stores what as many calls of :meth:`log` would.

        Parameters
        ----------
        timesteps : array_like of int, shape (steps,)
        neural_state, behavior : mapping of str to array_like, shape (steps, ...)
        spikes : array_like, shape (steps, neurons)
        reward : array_like, shape (steps,)

        Returns
        -------
        int
            Steps that were stored: all, unless ``on_full="drop"`` let the last ones go.

        Raises
        ------
        InputError
            Arrays that do not fit each other or the streams so far; nothing was stored.
        RingFullError
            ``on_full="raise"``; its ``stored`` says how many of the first steps were stored.
        """
        steps = self._steps
        if steps is None:
            raise self._no_episode()
        self._writer.check()
        return log_batch(steps, timesteps, neural_state, spikes, behavior, reward)

    def flush(self) -> None:
        """Hand everything that was logged to the file now.

        What fills no chunk yet waits beside it, as after any commit. With ``durability="fsync"`` every
        step that was logged before survives a power cut from here on.

        Raises
        ------
        ClosedError
        WriteError
            The writer met an error.
        """
        self._require_open()
        if self._steps is not None and not self._steps.holding:
            self._steps.seal()
        self._writer.drain()

    def _hold(self, steps: int) -> None:
        """Keep the last ``steps`` steps in the ring from here on, and store none."""
        assert self._steps is not None
        self._steps.hold(steps)

    def _held(self) -> tuple[int, int] | None:
        """The timestep that :meth:`_release` would begin with, and how many steps it would store, if any."""
        return None if self._steps is None else self._steps.held()

    def _release(self) -> None:
        """Store what is kept, and what comes from here on."""
        if self._steps is not None:
            self._steps.release()
            if self.options.async_write:
                # The ring may be full of it, and on_full is about steps that come too fast.
                self._writer.drain()

    def _passes_over(self, key: str, step: int) -> bool:
        """Whether a neural state of this timestep is left out, now and as long as the episode goes on."""
        steps, name = self._steps, f"{NEURAL}/{key}"
        # When it is due moves on, and never back.
        return steps is not None and name in steps.plan.streams and step < steps.due(name)

    def _begin_episode(self, episode_id: int, start: dict[str, Any]) -> Episode:
        start = {**start, "dropped_before": self._ring.dropped}
        record = self._writer.append(START, Description.of({"start": start}), wait=True)
        assert record is not None
        self._writer.seal(record)
        steps = StepLog(
            self._writer,
            self.options,
            self._n_neurons,
            drops=Drops(self._ring, episode_id),
            expected_rows=self._expected_rows,
            expected_kinds=self._kinds,
            install=self._install,
            elsewhere=partial(DataExporter.log, self),
            on_new=self._on_new,
            on_sealed=self._meter.add,
        )
        self._uninstall()
        return Episode(self, episode_id, steps)

    def _entered(self, episode: Episode) -> dict[str, Any]:
        return {"_steps": episode.steps}

    def _finish_episode(self, end: dict[str, Any], final_state: Change | None) -> None:
        if self._before_end is not None and not self._writer.failed:
            self._before_end(end)
        self._before_end = None
        # From here on nothing is logged into it, whether or not its end can be written now.
        steps = self._ending = self._steps or self._ending
        assert steps is not None
        self._steps = None
        steps.close(keep=end["status"] == INTERRUPTED)
        self._uninstall()
        self._expected_rows = steps.timestep_count
        self._kinds = {name: stream.kind for name, stream in steps.plan.streams.items()} or self._kinds
        end |= steps.drops.end()
        if final_state is not None:
            self._writer.change(final_state)
        summary = end.get("summary", "")
        if 4 * len(summary) > self._ring.largest_record:
            del end["summary"]
            path = episode_path(self._require_episode().episode_id)
            self._writer.change(lambda file: put_encoded(file[path], "summary", summary.encode("ascii")))
        record = self._writer.append(END, Description.of({"end": end}), wait=True)
        assert record is not None
        self._writer.seal(record)
        self._ending = None
        if self.options.durability == FSYNC:
            self._writer.drain()

    def _no_episode(self) -> Exception:
        self._require_open()
        self._writer.check()
        return NoEpisodeError("No active episode. Call start_episode() first.")

    def _install(self, function: Callable[..., None]) -> None:
        # An instance attribute saves the bound method and one call; a subclass that has its own log keeps it.
        if self._front is not None:
            self._front.aim(function)
        elif self._direct:
            self.__dict__["log"] = function

    def _uninstall(self) -> None:
        if self._front is not None:
            self._front.aim(self._front.__wrapped__)
        else:
            self.__dict__.pop("log", None)

    def _call_in(self) -> None:
        """From the writer's thread: have the next log() look at errors and hand its block over."""
        steps = self._steps
        # What is held is to be handed over to nobody.
        if steps is not None and (self._writer.failed or not steps.holding):
            steps.retire()

    def _on_new(self, step: int, new: Given) -> None:
        self._warn_about(step, **arguments_of(new))

    def disown(self) -> None:
        """In a forked child: the recording is the parent's, so nothing here may touch it."""
        super().disown()
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.disown()


OptimizedDataExporter = DataExporter
OptimizedEpisode = Episode
