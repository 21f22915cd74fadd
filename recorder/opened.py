"""Lock, ring, writer and file of a recording: made for a new one, or for one taken up again, and closed."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

from recorder import process
from recorder.errors import ReadError
from recorder.format.layout import DATA_FILE, RING_SUFFIX, companion
from recorder.h5.chunking import Chunking
from recorder.h5.file import create, open_snapshot
from recorder.h5.lock import RecordingLock
from recorder.h5.repair import needs_recovery, needs_repair, repair
from recorder.h5.scales import put_scales
from recorder.h5.sink import Sink
from recorder.h5.skeleton import finish
from recorder.h5.streams.pace import EARLY, Pace, tick_of
from recorder.meter import Meter
from recorder.options import FSYNC, RecordingOptions
from recorder.recording import Recording
from recorder.resuming import Checkpoint, Former
from recorder.ring.arena import Ring
from recorder.saving import Change
from recorder.writer import Writer

_ATTEMPTS = 10
"""To find a recording whole that others repair, resume and lose at the same time."""
_SCALED_AT_ONCE = 100
"""Episodes that get their scales in one transaction, which has in memory what it changes."""


class Opened(Recording):
    """The part of :class:`recorder.DataExporter` that holds what is open.

    Attributes
    ----------
    checkpoint : Checkpoint or None
        Of a recording that was resumed: its newest checkpoint.
    """

    checkpoint: Checkpoint | None = None
    _begun = False

    @classmethod
    def resume(
        cls, path: str | os.PathLike[str], *, generators: Mapping[str, Any] | None = None, **options: Any
    ) -> Self:
        """Go on with a recording after a crash or a planned stop, in the same file.

        What a killed program had logged is repaired first; an episode that was running then is marked
        ``recovered`` and stays as it is. New episodes come behind the ones that are there, and the root says
        when and after what the recording was resumed. ``exporter.checkpoint`` is the newest checkpoint:
        its state, and its random generators as they were.

        Parameters
        ----------
        path : path
            The recording's folder, or its HDF5 file.
        generators : mapping, optional
            Random generators to be put, in place, into the states that ``save_checkpoint(generators=…)`` kept
            under their names; the global ones of Python, NumPy and torch are put back in any case.
        **options
            As of the constructor, but for name, folder, compression and chunk size, which stay. Sampling
            rates stay unless they are given; all others are the defaults unless they are given.

        Raises
        ------
        FileNotFoundError
            There is no recording.
        RecordingLockedError
            A living process writes it.
        RepairError, ReadError, DamagedError
            It cannot be made whole, or is none of this exporter's.
        OptionError
        InputError
            A generator of another name or sort than was saved; nothing was changed.

        Examples
        --------
        >>> with DataExporter.resume("experiments/run_20260101_120000") as exporter:  # doctest: +SKIP
        ...     weights = exporter.checkpoint.state["weights"]
        ...     exporter.start_episode()
        """
        file = Path(os.path.realpath(path))
        file = file / DATA_FILE if file.is_dir() else file
        if not file.is_file():
            raise FileNotFoundError(f"no recording at {path}")
        lock = _locked_and_whole(file)
        try:
            former = Former.of(file, options)
            checkpoint = former.checkpoint(generators)
            made = cls.__new__(cls)
            made._open(former.options, lock, former)
        except BaseException:
            lock.release()
            raise
        try:
            made.checkpoint = checkpoint
            made._apply(former.reopened(made.output_dir, checkpoint))
            former.restore(generators)
        except BaseException:
            made._closed = True
            made._let_go()
            raise
        return made

    def _open(self, options: RecordingOptions, lock: RecordingLock | None, former: Former | None) -> None:
        """Everything that logging needs, of a new recording or of a former one whose lock is held."""
        chunking = Chunking.of(options.compression, options.compression_level, options.chunk_size)
        Recording.__init__(self, options, former)
        self._expected_rows = 0
        self._kinds: dict[str, Any] = {}
        self._snapshot: Any = None
        self._meter = Meter(options.progress, options.experiment_name)
        self._lock = lock or RecordingLock(self.h5_path)
        try:
            if former is None:
                self._lock.acquire()
                create(self.h5_path, self._initialise, sync=options.durability == FSYNC)
            self._ring = Ring.create(self._ring_path, options.ring_bytes)
            self._ring.dropped = 0 if former is None else former.file.dropped
            sync, every, tick = options.durability == FSYNC, options.flush_interval, None
            if sync or options.enable_swmr:
                tick = EARLY * every if sync else tick_of(every)
            pace = Pace(every, tick) if options.enable_swmr and tick is not None else None
            sink = Sink(self.h5_path, chunking, pace=pace, sync=sync)
        except BaseException:
            self._lock.release()
            if former is None:
                # The folder was made for this recording, and nothing was logged into it.
                shutil.rmtree(self.output_dir, ignore_errors=True)
            else:
                self._ring_path.unlink(missing_ok=True)
            raise
        self._writer = Writer(
            self._ring,
            sink,
            threaded=options.async_write,
            on_full=options.on_full,
            tick=tick,
        )
        called = weakref.WeakMethod(self._call_in)

        def call_in() -> None:
            if (function := called()) is not None:
                function()

        # The writer's thread would keep the recording of a program that has forgotten it.
        self._writer.on_attention = call_in
        process.opened(self, self._writer, self._lock)
        self._begun = True

    def __del__(self) -> None:
        if self._begun and not self._closed and os.getpid() == self._owner:
            process.collected(self)

    @property
    def _ring_path(self) -> Path:
        return companion(self.h5_path, RING_SUFFIX)

    def _call_in(self) -> None:
        """From the writer's thread: have the next log() look at errors and hand its block over."""
        raise NotImplementedError

    def _uninstall(self) -> None:
        """Have ``log`` be the method again that refuses or admits."""
        raise NotImplementedError

    def _apply(self, change: Change) -> None:
        self._writer.change(change)

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

    def _close_snapshot(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _close_file(self, status: str) -> None:
        self._close_snapshot()
        self._meter.close()
        self._uninstall()
        try:
            # An episode whose end failed is the repair's, as after a kill: the ring has what is missing.
            if not self._writer.failed and self.current_episode is None:
                try:
                    if self.options.dimension_scales:
                        self._put_scales()
                finally:
                    self._writer.change(self._last_change(status))
        finally:
            self._let_go()

    def _put_scales(self) -> None:
        ids = sorted(self._used_ids)
        for first in range(0, len(ids), _SCALED_AT_ONCE):
            self._writer.change(partial(put_scales, episode_ids=ids[first : first + _SCALED_AT_ONCE]))

    def _let_go(self) -> None:
        try:
            self._writer.close()
        finally:
            self._writer.close_ring()
            self._lock.release()
            process.closed(self)

    def _last_change(self, status: str) -> Change:
        now, count, lost = datetime.now().isoformat(), self.episode_count, self._ring.dropped

        def change(file: Any) -> None:
            finish(file, status=status, end_time=now, episode_count=count, dropped=lost)
            self._sign(file)

        return change

    def in_the_middle(self) -> bool:
        """Whether something is under way that ending the recording, here and now, would wait for."""
        return self._closed or self._writer.held_here

    def hold(self) -> None:
        """Before a fork: wait until the file is whole, and leave it so."""
        self._writer.busy.acquire()

    def go_on(self) -> None:
        """After a fork: the writer may go on."""
        self._writer.busy.release()

    def disown(self) -> None:
        """In a forked child: the recording is the parent's, so nothing here may touch it."""
        self._closed = True
        self._uninstall()
        self._writer.disown()
        self._lock.disown()


def _locked_and_whole(file: Path) -> RecordingLock:
    """The lock of a recording beside which nothing waits."""
    for _ in range(_ATTEMPTS):
        if needs_repair(file):
            repair(file)
        lock = RecordingLock(file).acquire()
        # Another may have resumed it, and died, before the lock was had.
        if not needs_recovery(file):
            return lock
        lock.release()
    raise ReadError(f"{file} is repaired, resumed and lost again and again by others")
