"""One episode's steps on their way into the ring.

The generated ``log`` (``rowcode.py``) does the common call; everything else comes to
:meth:`StepLog.admit`: the first call, a new or missing key, lists and foreign arrays, a full block, a
weight change or an event, and whatever must be refused.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import StreamType, admit_timestep
from recorder.calls import Calls
from recorder.dropping import Drops
from recorder.errors import RingFullError, RowTooLargeError, ShortCaptureWarning
from recorder.format.layout import SPIKES
from recorder.frames import own_frames
from recorder.holding import Hold
from recorder.hotpath import generate
from recorder.options import RecordingOptions
from recorder.plan import MAIN, Given, Plan, arguments_of
from recorder.ring.record import HELD, ROWS, Description, Record
from recorder.rowcode import LogFunction, Position, block_views, concurrent_log
from recorder.sideband import Side, Sideband, admit_side
from recorder.sizes import BlockSizes, adapt
from recorder.spike_input import SpikeType, admit_spikes
from recorder.tensors import as_arrays
from recorder.writer import Writer

_PATIENCE = 10.0
"""Seconds to wait for another thread's call, which takes microseconds."""
_LOOK = 1e-4
"""Seconds between two looks at it."""


class StepLog:
    """The streams of one episode: their plan, the open block, and the function that fills it.

    Parameters
    ----------
    drops : Drops
        Counts what a full ring's policy lets go.
    expected_rows : int
        Calls of the episode before, by which the first block is sized.
    expected_kinds : mapping
        Types of its streams: first values of just these need no closer look.
    install : callable
        Told of every new log function, so that the exporter's ``log`` is always the newest.
    elsewhere : callable
        Takes the calls of log functions that outlived their episode.
    on_new, on_sealed : callable
        Told of streams' first values, and of the rows of every block that is handed over.
    """

    def __init__(
        self,
        writer: Writer,
        options: RecordingOptions,
        n_neurons: int | None,
        *,
        drops: Drops,
        expected_rows: int,
        expected_kinds: Mapping[str, StreamType | SpikeType],
        install: Callable[[Callable[..., None]], None],
        elsewhere: Callable[..., None],
        on_new: Callable[[int, Given], None],
        on_sealed: Callable[[int], None],
    ) -> None:
        self._writer, self._validates = writer, options.validate_data
        self._install, self._elsewhere, self._on_new, self._on_sealed = install, elsewhere, on_new, on_sealed
        self.drops = drops
        self.calls = Calls(options, n_neurons, expected_kinds)
        """What they may bring."""
        self.plan = Plan()
        self._sizes = BlockSizes(writer.ring.largest_record, options.chunk_size, expected_rows)
        self.record: Record | None = None
        self.function: LogFunction | None = None
        self._due: dict[str, int] = {}
        self._hold: Hold | None = None
        self._room_checked = self._warned_of_room = False
        self._rows_before = 0
        self._admitting = self._alone = self._refused = self._closed = False
        self._parked: Position | None = None
        """Where a batch stands in the open block; the log function hears of it when the batch is done."""
        self._views: tuple[Record, tuple[Any, ...]] | None = None
        self._storing: dict[str, Any] | None = None
        """Arguments of the call that :meth:`admit` is handing to the generated function."""

    @property
    def timestep_count(self) -> int:
        """Calls so far that carried a timestep's data; without those that are only held."""
        return self._rows_before + (self.rows if self._hold is None else 0)

    @property
    def rows(self) -> int:
        """Main rows of the open block."""
        return self.record.tables[MAIN].count if self.record else 0

    def admit(
        self, timestep: Any, neural_state: Any, spikes: Any, behavior: Any, reward: Any, more: dict[str, Any]
    ) -> None:
        """Take a call that the generated function did not: check it, plan for it, store it, or raise."""
        if self._storing is not None and self._is_own(neural_state, spikes, behavior, reward):
            self._refused = True
            return
        if self._admitting:
            raise concurrent_log(timestep)
        if self.function is not None and not more:
            arrays = as_arrays(neural_state, spikes, behavior, reward)
            if arrays is not None:
                # What it does not take comes back, and has no tensors then.
                self.function.log(timestep, *arrays)
                return
        self._admitting = True
        try:
            self._admit(timestep, neural_state, spikes, behavior, reward, more)
        finally:
            self._admitting = False

    def _admit(
        self, timestep: Any, neural_state: Any, spikes: Any, behavior: Any, reward: Any, more: dict[str, Any]
    ) -> None:
        if self._closed:
            self._elsewhere(timestep, neural_state, spikes, behavior, reward, **more)
            return
        self._writer.check()
        step = admit_timestep(timestep)
        side = admit_side(step, more) if more else Side(step)
        self._remember_dues()
        given = self.calls.given(self.plan, self._due, step, neural_state, spikes, behavior, reward)
        row = bool(given) or (side.weight is None and side.event is None)
        self._sideband().check(side)
        self.prepare(step, given if row else None, side)
        arguments = arguments_of(given) if row else None
        # Once more for a full block, once more for a side table that was guessed too small for a single row.
        for _ in range(4):
            if self.record is not None and self._store(step, arguments, side):
                return
            if self._closed:
                self._elsewhere(timestep, neural_state, spikes, behavior, reward, **more)
                return
            if not self.roll():
                self.drops.call(step, [s for s, _ in given.values()] if row else (), side, self._due)
                return
        raise RowTooLargeError(
            "ring", "a row that fits a block", "a larger one", step=step, hint="raise ring_bytes"
        )

    def prepare(self, step: int, given: Given | None, side: Side) -> None:
        """Have a block open whose plan fits a call that brings these streams; None for no main row."""
        new = {name: pair for name, pair in (given or {}).items() if name not in self.plan.streams}
        missing = [
            stream
            for name, stream in self.plan.streams.items()
            if given is not None and stream.required and name not in given
        ]
        if not (new or missing or self.function is None or self._sideband().needs(side)):
            return
        if new and self._validates:
            # First, because a warning may be an error here.
            self._on_new(step, new)
        before = self.plan.copy()
        try:
            self._sideband().extend(side)
            for name, (stream, _) in new.items():
                self.plan.streams[name] = stream
                self._due.setdefault(name, 0)
            for stream in missing:
                stream.required = False
            self._replan()
        except BaseException:
            self.plan, self.function = before, None
            raise

    def roll(self) -> bool:
        """Hand the open block over and open the next; False if there is no room and the policy is to drop."""
        self.seal()
        hold = self._hold
        described = self._sizes.next(self.plan, self._rows_before, 0 if hold is None else hold.block_rows)
        if hold is None:
            self.record = self._writer.append(ROWS, described)
        else:
            self.record = self._append_held(hold, described)
        if self.record is None:
            return False
        self.move(Position(0, [0] * self._sides(), 0, self._dues()))
        return True

    def _append_held(self, hold: Hold, described: Description) -> Record | None:
        if not self._room_checked:
            hold.check(described)
            self._room_checked = True
        while True:
            try:
                return self._writer.append(HELD, described, wanted=hold.steps)
            except RingFullError:
                # Later steps take more room than the first ones: fewer are held, which a capture says.
                if not hold.yield_room():
                    raise
            if not self._warned_of_room:
                self._warned_of_room = True
                room = self._writer.ring.arena_bytes
                text = f"the ring of {room:,} bytes cannot hold {hold.steps:,} steps as large as these"
                text = f"{text}: it holds fewer; give ring_bytes more"
                warnings.warn(ShortCaptureWarning(text), stacklevel=own_frames())

    def seal(self, *, ending: bool = False) -> None:
        """Hand the open block over, if any, and learn from how it filled; it is the last if ``ending``."""
        self.await_calls()
        self._remember_dues()
        if self.record is not None and self._hold is not None:
            # Before it is forgotten here: an interrupt in between must not leave it to nobody.
            self._hold.take(self.record)
        record, self.record, self._views = self.record, None, None
        if record is not None:
            adapt(self.plan, record)
            if self._hold is not None:
                return
            rows = record.tables[MAIN].count
            self._rows_before += rows
            self._writer.seal(record, followed=ending)
            self._on_sealed(rows)

    def hold(self, steps: int) -> None:
        """From here on keep the last ``steps`` steps, and store none, until they are released.

        Raises
        ------
        ConcurrentLogError
            Another thread logs, or this one in the call that was interrupted.
        """
        with self.alone(None):
            if self._hold is None:
                self.seal()
                self._hold = Hold(self._writer, steps)

    def release(self) -> None:
        """Store what is held, and what comes from here on; errors as of :meth:`hold`."""
        with self.alone(None):
            self._release()

    def _release(self) -> None:
        hold = self._hold
        if hold is not None:
            self.seal()
            rows = hold.release()
            self._hold = None
            self._rows_before += rows
            self._on_sealed(rows)

    @property
    def holding(self) -> bool:
        """Whether steps are held, and not stored."""
        return self._hold is not None

    def held(self) -> tuple[int, int] | None:
        """The timestep that a release would begin with, and how many steps it would store, if any."""
        return None if self._hold is None else self._hold.reach(self.record)

    @contextlib.contextmanager
    def alone(self, timestep: Any) -> Iterator[None]:
        """Refuse every other call while a batch fills the block; ConcurrentLogError if one is under way."""
        if self._admitting:
            raise concurrent_log(timestep)
        self._admitting = True
        try:
            if not self.await_calls():
                raise concurrent_log(timestep)
            self._alone = True
            try:
                yield
                self._alone = False
            finally:
                # After an error with no room: the next call looks at everything anew.
                parked, self._parked = self._parked, None
                if parked is not None and self.record is not None and self.function is not None:
                    self._attach(parked)
        finally:
            self._admitting = self._alone = False

    def await_calls(self) -> bool:
        """Let no further call into the block, and wait for the one that is in it.

        False if that one cannot end: it is below this, interrupted by a signal handler.
        """
        function = self.function
        if function is None:
            return True
        function.retire()
        until = time.monotonic() + _PATIENCE
        while function.running():
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK)
        return True

    def retire(self) -> None:
        """Send the next call to :meth:`admit`; safe from any thread."""
        if self.function is not None:
            self.function.retire()

    def close(self, *, keep: bool = False) -> None:
        """Hand everything over; log functions that are still held go elsewhere from now on.

        What is held is stored if ``keep`` says so, and else let go.
        """
        # Before it is handed over: another thread's call that is under way will be told that it is stored.
        self._closed = True
        until = time.monotonic() + _PATIENCE
        while self.await_calls() and self._admitting and time.monotonic() < until:
            time.sleep(_LOOK)
        if keep:
            self._release()
        self.seal(ending=True)
        if self._hold is not None:
            self._hold.let_go()

    def disown(self) -> None:
        """In a forked child: store nothing more, whoever still holds a log function."""
        self.retire()
        self.record, self._views, self._closed = None, None, True

    def move(self, position: Position) -> None:
        """Let the log function go on at this position of the open block, once no batch fills it."""
        if self._alone:
            self._parked = position
        else:
            self._attach(position)

    def position(self) -> Position:
        """Where in the open block the next row goes."""
        parked = self._parked
        if parked is not None:
            # A copy: whoever goes on from here may be interrupted half-way.
            return Position(parked.row, list(parked.side), parked.heap, list(parked.due))
        return self.function.position() if self.function is not None else Position()

    def _attach(self, position: Position) -> None:
        assert self.function is not None
        assert self.record is not None
        if self._views is None or self._views[0] is not self.record:
            self._views = self.record, block_views(self.plan, self.record)
        counts, rows, *views = self._views[1]
        self.function.attach((counts, 0 if self._alone else rows, *views), position)

    def admit_indices(self, step: int, spikes: Any) -> NDArray[np.int64]:
        """Declared spike indices of one step, sorted; for the generated function."""
        kind = self.plan.streams[SPIKES].kind
        assert isinstance(kind, SpikeType)
        return admit_spikes(kind, step, spikes)

    def due(self, name: str) -> int:
        """The timestep from which the next row of a sampled stream is kept."""
        self._remember_dues()
        return self._due.get(name, 0)

    def _store(self, step: int, arguments: dict[str, Any] | None, side: Side) -> bool:
        assert self.record is not None
        assert self.function is not None
        sideband = self._sideband()
        need = self.rows + (arguments is not None)
        if not sideband.write(self.record, side, need):
            return False
        if arguments is None:
            return True
        self._storing, self._refused = arguments, False
        try:
            self.function.log(step, **arguments)
        finally:
            self._storing = None
        if self._refused:
            sideband.retract(self.record, side)
        return not self._refused

    def _is_own(self, *given: Any) -> bool:
        # By identity: a call from a signal handler or another thread brings other objects.
        own = self._storing or {}
        return all(
            value is own.get(argument)
            for value, argument in zip(given, ("neural_state", "spikes", "behavior", "reward"), strict=True)
        )

    def _replan(self) -> None:
        self.seal()
        self.function = generate(self.plan, self.admit, self.admit_indices)
        self._install(self.function.log)
        self.roll()

    def _sideband(self) -> Sideband:
        return Sideband(self.plan, self._writer.ring.largest_record)

    def _sides(self) -> int:
        return sum(stream.side for stream in self.plan.streams.values())

    def _dues(self) -> list[int]:
        return [self._due[name] for name, stream in self.plan.streams.items() if stream.rate > 1]

    def _remember_dues(self) -> None:
        if self.function is not None and self.record is not None:
            sampled = [name for name, stream in self.plan.streams.items() if stream.rate > 1]
            due = self.position().due
            self._due.update(zip(sampled, due, strict=False))
