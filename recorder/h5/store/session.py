"""The open file of a store: changes one after the other, each whole or not at all, and reads beside them.

HDF5 keeps the file open between changes, which saves it opening and closing for each. Whether another
process or program has changed it meanwhile is told by :mod:`recorder.h5.store.state`.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from recorder.errors import FlightrecError, HDF5StorageError, InputError
from recorder.h5.reading.guard import BROKEN
from recorder.h5.store.handle import Handle
from recorder.h5.store.opening import open_reader, open_writer, shared
from recorder.h5.store.overlay import claimed_end
from recorder.h5.store.recover import journal_of, recover
from recorder.h5.store.state import State, quiet_state, set_own_time, state_of
from recorder.h5.store.turns import Turns
from recorder.h5.transaction import commit, reserve
from recorder.interrupts import deferred

T = TypeVar("T")

ATTEMPTS = 40
"""Times that a read is done again when changes overtake it; then it waits for its turn."""
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
_WRONG: tuple[type[Exception], ...] = (*BROKEN, FlightrecError)
_all: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """A store's file, for all threads of a process; other processes have sessions of their own.

    Parameters
    ----------
    path : Path
        The file, which exists.
    patience : float
        Seconds to wait for one's turn.
    reaching : bool
        Have the file reach beyond its end while it is used: then other programs can open it at every instant.
    sync : bool
        Have changes survive a power cut.
    prepare : callable
        Called with a file just opened for writing, in a change of its own.
    """

    def __init__(
        self,
        path: Path,
        *,
        patience: float,
        reaching: bool,
        sync: bool,
        prepare: Callable[[Handle], None] | None = None,
    ) -> None:
        self.path = path
        self.reaching, self.sync = reaching, sync
        self._prepare = prepare
        self._patience = patience
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        self._mutex = threading.RLock()
        self.turns = Turns(self.path, self._patience)
        self._pid = os.getpid()
        self._writer: Handle | None = None
        self._reader: Handle | None = None
        self._depth, self._thread = 0, 0
        self._failed: BaseException | None = None

    @property
    def changing(self) -> bool:
        """Whether the calling thread is within a change."""
        return self._depth > 0 and self._thread == threading.get_ident()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else changes the file meanwhile, and nothing of it is kept open here."""
        self._check()
        with self._mutex:
            self._take()
            try:
                yield
            finally:
                self._let_go()
                self.turns.release()

    def _take(self) -> None:
        """One's turn, with the file whole."""
        count = self.turns.take()
        try:
            if journal_of(self.path).exists() or count.applying:
                self._let_go()
                recover(self.path)
                self.turns.finish(removed=False)
        except BaseException:
            self.turns.release()
            raise

    @contextlib.contextmanager
    def change(self, *, removes: bool = False) -> Iterator[Handle]:
        """A file whose changes all happen when the outermost block is left, or not at all.

        Parameters
        ----------
        removes : bool
            Objects go away, or become others.

        Raises
        ------
        StorageLockedError
            Others used the file for too long, or another program writes it.
        OSError
            The change could not be stored.
        Exception
            Whatever the block raises; nothing of it has happened then.
        """
        self._check()
        with self._mutex:
            if self._depth:
                yield from self._nested(removes=removes)
                return
            self._take()
            try:
                handle = self._fresh_writer()
                self._depth, self._failed, self._thread = 1, None, threading.get_ident()
                handle.removes, handle.changing = removes, True
                try:
                    with shared(handle, self.path):
                        yield handle
                        if self._failed is not None:
                            raise HDF5StorageError(
                                f"{self.path}: an earlier failure has undone the whole batch: {self._failed}"
                            ) from self._failed
                        with deferred():
                            self._commit(handle)
                except BaseException:
                    self._drop_writer()
                    raise
                finally:
                    self._depth, handle.changing = 0, False
            finally:
                self.turns.release()

    def _nested(self, *, removes: bool) -> Iterator[Handle]:
        assert self._writer is not None
        if self._failed is not None:
            raise HDF5StorageError(f"{self.path}: the batch has failed: {self._failed}") from self._failed
        self._writer.removes |= removes
        self._depth += 1
        before = self._writer.written
        try:
            yield self._writer
        except InputError as error:
            # Refused before anything was stored, or with a part of the block stored.
            if self._writer.written != before:
                self._failed = error
            raise
        except BaseException as error:
            self._failed = error
            raise
        finally:
            self._depth -= 1

    @contextlib.contextmanager
    def looking(self, *, apart: bool = False) -> Iterator[Handle]:
        """A file to look at while the block lasts, in one's turn: nobody changes it meanwhile.

        With ``apart`` it is one that cannot be written through, and shows nothing of a change under way.
        """
        self._check()
        with self._mutex:
            if self._depth and not apart:
                assert self._writer is not None
                yield self._writer
                return
            taken = not self._depth and self._take_where_possible()
            try:
                if not apart:
                    yield self._handle(quiet_state(self.path))
                    return
                handle = open_reader(self.path, quiet_state(self.path))
                try:
                    yield handle
                finally:
                    handle.close()
            finally:
                if taken:
                    self.turns.release()

    def _take_where_possible(self) -> bool:
        """One's turn; False where no lock can be made, and so nobody else can change the file."""
        try:
            self._take()
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
            return False
        return True

    def read(self, look: Callable[[Handle], T]) -> T:
        """What ``look`` returns, all of it from one state of the file.

        Raises
        ------
        HDF5StorageError
            Whatever a broken file makes of it.
        """
        found: T = self.fetch(look, None)
        return found

    def fetch(self, look: Callable[[Handle], Any], finish: Callable[[Any], Any] | None) -> Any:
        """As :meth:`read`, in two steps: ``look`` says where the bytes are, and ``finish`` reads them.

        The second step takes its time while others store: what is in the file stays where it is. Should
        something have been taken away meanwhile, both are done again.
        """
        self._check()
        with self._mutex:
            if self._depth:
                found = look(self._writer)  # type: ignore[arg-type]
                return found if finish is None else finish(found)
            for attempt in range(ATTEMPTS):
                done, found = self._attempt(look, finish, last=False)
                if done:
                    return found
                time.sleep(0.0002 * min(attempt, 10))
            self._take()
            try:
                return self._attempt(look, finish, last=True)[1]
            finally:
                self.turns.release()

    def _attempt(
        self, look: Callable[[Handle], Any], finish: Callable[[Any], T] | None, *, last: bool
    ) -> tuple[bool, Any]:
        """Whether it was one state, and what was found in it."""
        state = quiet_state(self.path)
        if not state.quiet and not last:
            return False, None
        error: Exception | None = None
        found: Any = None
        try:
            handle = self._handle(state)
            found = look(handle)
        except _WRONG as wrong:
            error = wrong
        if last or state_of(self.path) == state:
            if error is None and finish is None:
                return True, found
            if error is None:
                try:
                    found = finish(found)  # type: ignore[misc]
                except _WRONG as wrong:
                    error = wrong
                if not last and not state.same_objects(now := state_of(self.path)) and now != state:
                    return False, None
            if error is not None:
                self._let_go()
                raise error
            return True, found
        return False, None

    def _handle(self, state: State) -> Handle:
        """A handle that shows this state."""
        if self._writer is not None and self._writer.state == state:
            return self._writer
        if self._reader is not None:
            if self._reader.state == state:
                return self._reader
            self._reader.close()
            self._reader = None
        if state.left:
            # Where the folder cannot be written the change is completed in memory.
            with contextlib.suppress(OSError):
                self._take()
                self.turns.release()
        self._reader = open_reader(self.path, state)
        return self._reader

    def _fresh_writer(self) -> Handle:
        state = state_of(self.path)
        if self._writer is not None:
            if self._writer.state == state:
                return self._writer
            self._drop_writer()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._writer = open_writer(self.path)
        if self._prepare is not None:
            try:
                self._prepare(self._writer)
            except BaseException:
                self._drop_writer()
                raise
        return self._writer

    def _commit(self, handle: Handle) -> None:
        overlay = handle.overlay
        assert overlay is not None
        handle.settle()
        handle.file.flush()
        overlay.clear_flags()
        removed, handle.removes = handle.removes, False
        if not overlay.extents() and overlay.size == overlay.old_size:
            handle.state = state_of(self.path)
            return
        if self.reaching:
            reserve(overlay.descriptor, overlay.size)
        self.turns.begin()
        commit(overlay, journal_of(self.path), sync=self.sync, trim=not self.reaching)
        overlay.rebase()
        set_own_time(overlay.descriptor)
        self.turns.finish(removed=removed)
        handle.state = state_of(self.path)

    def size(self) -> int:
        """Bytes of the file, without the room behind its end."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return claimed_end(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the file and trim it to its end; the next use opens it again."""
        self._check()
        with self._mutex:
            wrote = self._writer is not None
            self._let_go()
            if wrote:
                with contextlib.suppress(OSError, HDF5StorageError):
                    self._trim()
            self.turns.close()

    def _trim(self) -> None:
        self.turns.take()
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                end = claimed_end(descriptor)
                if not journal_of(self.path).exists() and os.fstat(descriptor).st_size > end:
                    os.ftruncate(descriptor, end)
            finally:
                os.close(descriptor)
        finally:
            self.turns.release()

    def _let_go(self) -> None:
        self._drop_writer()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _check(self) -> None:
        """A forked child leaves its parent's handles alone, and has its own."""
        if self._pid == os.getpid():
            return
        handles = (self._writer, self._reader)
        self.turns.disown()
        self._reset()
        for handle in handles:
            if handle is not None:
                handle.close()


def make_whole(path: Path, patience: float = 60.0) -> None:
    """Complete, or forget, the change that a killed process left; others may use the store meanwhile.

    Raises
    ------
    StorageLockedError
    OSError
        The folder cannot be written.
    """
    session = Session(path, patience=patience, reaching=False, sync=False)
    try:
        with session.looking():
            pass
    finally:
        session.close()


@atexit.register
def _close_all() -> None:
    # HDF5 would close what is left once Python is gone, and call the overlay then.
    for session in list(_all):
        session.close()
