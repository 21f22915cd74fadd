"""The one writer: takes sealed records from the ring, applies them, frees their memory.

On the caller's thread, whenever enough is sealed; with ``async_write=True`` on a thread of its own.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from typing import Any

from recorder.errors import ClosedError, FlightrecError, RingFullError, RowTooLargeError, WriteError
from recorder.format.native import MODULE, THREADS
from recorder.h5.sink import Change, Sink
from recorder.interrupts import deferred
from recorder.ring.arena import Ring
from recorder.ring.record import LET_GO, Description, Record

logger = logging.getLogger("recorder")

WAIT, RAISE, DROP = "wait", "raise", "drop"

AHEAD = MODULE is not None and THREADS > 0
"""Whether blocks are encoded by threads while the next one is filled."""

ENOUGH = 1 << 22
"""Bytes of sealed records that are worth a write on the caller's thread: a block, or many short episodes."""


class Writer:
    """Moves records from the ring into the file.

    The logging thread calls :meth:`append` and :meth:`seal`; errors of the writer reach it at its next
    call, with their cause.
    """

    def __init__(
        self, ring: Ring, sink: Sink, *, threaded: bool, on_full: str, tick: float | None = None
    ) -> None:
        self.ring, self._sink, self._on_full = ring, sink, on_full
        self._lock: Any = threading.RLock()
        self._state = threading.Condition(self._lock)
        # Who waits or notifies has the lock by itself: a signal can come between a condition's own __exit__,
        # which is written in Python, and the release.
        self._sealed = self._begun = self._held = 0
        self._error: BaseException | None = None
        self._closing = False
        self._requests: list[_Request | _Showing] = []
        self.busy: Any = threading.RLock()
        """Held while HDF5 is at work; a fork waits for it, so that no child inherits a file half changed."""
        self._tick = tick
        self._closed = threading.Event()
        self.held_from: int | None = None
        """The first record that is not to be written yet, if there is one."""
        self.on_attention: Callable[[], None] = lambda: None
        """Called on the writer's thread when the logging one should come by: an error, or time to flush."""
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._run, name="flightrec-writer", daemon=True)
            self._thread.start()
        elif tick is not None:
            threading.Thread(target=self._ticks, args=(tick,), name="flightrec-ticker", daemon=True).start()

    def append(
        self, kind: int, described: Description, *, wanted: int = 0, wait: bool = False
    ) -> Record | None:
        """A new record of the ring; ``wanted`` as of held ones. None where a full ring means to drop.

        Raises
        ------
        RowTooLargeError
            The record can never fit.
        RingFullError
            There is no room now, and ``on_full="raise"``.
        WriteError
            The writer had failed.
        """
        self.check()
        size = described.nbytes
        if size > self.ring.largest_record:
            raise RowTooLargeError(
                "ring",
                f"at most {self.ring.largest_record} bytes for one row of all streams",
                f"{size} bytes",
                hint=f"open the recording with ring_bytes={3 * size + 4096} or more",
            )
        record = self._put(kind, described, wanted)
        if record is None and self._thread is None:
            self._write_inline()
            record = self._put(kind, described, wanted)
        # Room that is held by nobody is had as soon as the writer has looked at it, whatever the policy.
        if record is None and (wait or self._on_full == WAIT or self.held_from is not None):
            with self._lock:
                while (record := self._put(kind, described, wanted)) is None:
                    if not self._serving or self._only_held:
                        break
                    self._state.wait(1.0)
            self.check()
        if record is None and self._only_held:
            raise RingFullError(
                f"the ring of {self.ring.arena_bytes} bytes is full of steps that are held until something "
                "happens; give ring_bytes more, or hold fewer"
            )
        if record is None and self._on_full == RAISE:
            raise RingFullError(
                f"the ring of {self.ring.arena_bytes} bytes is full: logging is faster than writing; "
                "give ring_bytes more, or on_full='wait'"
            )
        return record

    def _put(self, kind: int, described: Description, wanted: int) -> Record | None:
        return self.ring.put(kind, described, wanted=wanted, wide=self.held_from is not None)

    @property
    def _serving(self) -> bool:
        """Whether there is a thread that writes, and that whoever waits for it does not wait for ever."""
        return self._error is None and self._thread is not None and self._thread.is_alive()

    @property
    def _only_held(self) -> bool:
        return self.held_from is not None and self.ring.finished >= self.held_from

    def seal(self, record: Record, *, followed: bool = False) -> None:
        """Hand a record over: nothing more will be added to it.

        ``followed`` says that another one comes at once, with which it is written: an episode that has ended
        is laid out as a whole, and one that has not is begun in the file and ended there.
        """
        record.seal()
        with self._lock:
            self._sealed = record.seq + 1
            self._state.notify_all()
        # By what was used of it, because a short episode leaves most of its block empty. Not by that alone:
        # what is handed over at once holds the caller up.
        self._held += max(record.used, record.length // 3)
        enough = self._tick is not None or self._held >= min(ENOUGH, self.ring.largest_record)
        if self._thread is None and enough and not followed:
            # While threads encode this, the next block is filled; who reads along must not wait for that.
            self._write_inline(ahead=AHEAD and self._tick is None)

    def change(self, change: Change) -> None:
        """One structural change, after everything that was sealed before; its own errors are raised here."""
        self.check()
        request = _Request(change)
        if self._thread is None:
            self._write_inline()
        self._ask(request)
        if request.error is not None:
            raise request.error

    def _ask(self, request: _Request | _Showing) -> None:
        if self._thread is None:
            with deferred():
                try:
                    with self.busy:
                        request.run(self._sink)
                except BaseException as error:
                    self._fail(error)
        else:
            with self._lock:
                self._requests.append(request)
                self._state.notify_all()
                while not request.done and self._serving:
                    self._state.wait(1.0)
        self.check()
        if not request.done:
            raise ClosedError("this recording was closed meanwhile, by another thread or a signal handler")

    def drain(self) -> None:
        """Have everything that was sealed in the file, or waiting for its chunk to fill and shown."""
        if self._thread is None:
            self._write_inline()
        with self._lock:
            while self.ring.finished < self._sealed and self._serving:
                self._state.wait(1.0)
        self.check()
        with self.busy:
            hides = self._sink.hides
        if hides:
            self._ask(_Showing())

    def close(self) -> None:
        """Write everything that was sealed and let go of the file.

        Raises
        ------
        WriteError
            Something could not be written; the ring is kept for a repair.
        """
        thread = self._thread
        self._closed.set()
        if thread is not None:
            with self._lock:
                self._closing = True
                self._state.notify_all()
            thread.join()
        if self._error is None:
            try:
                with self.busy:
                    self._land()
                    self._sink.close()
            except (OSError, RuntimeError) as error:
                self._error = error
        else:
            self._sink.abandon()
        self.check()

    def close_ring(self) -> None:
        """After :meth:`close`: remove the ring, if nothing in it is missing in the file."""
        try:
            self.ring.close(unlink=not self.failed and self.settled)
        except OSError as error:
            # The file says that it is complete: the next repair removes what is left.
            logger.warning("Could not remove %s: %s", self.ring.path, error)

    def disown(self) -> None:
        """In a forked child, which has no writer thread and no right to the file."""
        self._error = ClosedError("this recording belongs to the process that opened it")
        self._thread = None
        self._sink.disown()

    @property
    def settled(self) -> bool:
        """Whether nothing waits in the ring or for its chunk to fill."""
        return self.ring.finished == self.ring.published and self._sink.episode is None

    @property
    def held_here(self) -> bool:
        """Whether this thread is in the midst of a hand-over, and :meth:`close` would wait for ever."""
        return any(lock._is_owned() for lock in (self._lock, self.busy))

    @property
    def failed(self) -> bool:
        """Whether anything could not be written."""
        return self._error is not None

    def check(self) -> None:
        """Raise what the writer met, if it met anything."""
        error = self._error
        if error is not None:
            if isinstance(error, FlightrecError):
                raise error
            code = _number_of(error)
            text = (
                f"the recording could not be written: {error}. What was committed is readable; what was "
                f"logged since is kept in {self.ring.path} and comes back with: flightrec repair"
            )
            raise (WriteError(code, text) if code is not None else WriteError(text)) from error

    def _run(self) -> None:
        while True:
            with self._lock:
                while not (self._sealed > self.ring.finished or self._requests or self._closing):
                    if not self._state.wait(self._tick):
                        self.on_attention()
                sealed, requests, self._requests = self._sealed, self._requests, []
                if sealed == self.ring.finished and not requests:
                    return
            try:
                self._write(sealed)
                for request in requests:
                    with self.busy:
                        request.run(self._sink)
            except BaseException as error:
                self._fail(error)
                return
            finally:
                with self._lock:
                    self._state.notify_all()

    def _ticks(self, tick: float) -> None:
        while not self._closed.wait(tick):
            self.on_attention()

    def _write_inline(self, *, ahead: bool = False) -> None:
        self._held = 0
        with deferred():
            try:
                self._write(self._sealed, ahead=ahead)
            except BaseException as error:
                self._fail(error)
        self.check()

    def _write(self, sealed: int, *, ahead: bool = False) -> None:
        with self.busy:
            if self._error is not None:
                return
            try:
                # Another thread, which closes the recording while this one logs, may have begun them.
                records = [self.ring.record(seq) for seq in range(self._begun, sealed)]
                if self._begun and all(record.kind == LET_GO for record in records):
                    self._land()
                    if records:
                        self.ring.skip(sealed)
                        self._begun = sealed
                    return
                if not (ahead and records and self._sink.admits(records)):
                    self._land()
                if records:
                    self._sink.begin(records)
                    # What waited longer is stored while threads encode this.
                    self._land()
                    self._begun = sealed
                if not ahead:
                    self._land()
            except BaseException as error:
                # Before anybody else gets in: half a block may be in the file, and the ring has all of it.
                self._error = error
                raise

    def _land(self) -> None:
        """Store what is being encoded."""
        if self._begun > self.ring.finished:
            self.ring.finish(self._begun, self._sink.end())

    def _fail(self, error: BaseException) -> None:
        self._error = error
        self.on_attention()


def _number_of(error: BaseException) -> int | None:
    """The error number, which HDF5 hides in its text."""
    hidden = re.search(r"errno = (\d+)", str(error))
    return int(hidden[1]) if hidden else getattr(error, "errno", None)


class _Request:
    """A structural change on its way to the writer's thread, and what became of it."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.error: Exception | None = None
        self.done = False

    def run(self, sink: Sink) -> None:
        """Make the change; an error of the change itself is its caller's, not the writer's."""
        try:
            sink.change(self.change)
        except OSError:
            # Of the file, not of the change: nothing more may be written over it.
            self.done = True
            raise
        except Exception as error:
            self.error = error
        self.done = True


class _Showing:
    """Readers shall see what waits, on its way to the writer's thread."""

    def __init__(self) -> None:
        self.done = False

    def run(self, sink: Sink) -> None:
        """Show it."""
        sink.show()
        self.done = True
