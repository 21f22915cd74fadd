"""What all calls of a store share: the session, errors in the store's own words, rotated files."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from recorder.errors import (
    FlightrecError,
    HDF5StorageError,
    InputError,
    OptionError,
    StorageInputError,
    TransferError,
)
from recorder.filesystem import warn_of_network
from recorder.h5.file import create
from recorder.h5.store import family, objects, skeleton
from recorder.h5.store.arrays import Filters
from recorder.h5.store.handle import Handle
from recorder.h5.store.session import Session
from recorder.interrupts import deferred

logger = logging.getLogger("recorder")

PATIENCE = 60.0
"""Seconds to wait while others use the file, unless told otherwise."""
_OPEN_MEMBERS = 64
_EXPECTED = (
    FlightrecError,
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
)
"""What files and values can make a call raise."""


class Core:
    """An open store; see :class:`recorder.storage.HDF5Storage` for its parameters."""

    def __init__(
        self,
        file_path: str | os.PathLike[str],
        compression: str | None,
        compression_opts: int | None,
        chunk_size: int,
        max_file_size: int,
        enable_swmr: bool,
        durability: str,
        patience: float,
    ) -> None:
        # One name for a file, wherever the program goes and whatever link it came by: its lock is beside it.
        self.file_path = Path(os.path.realpath(file_path))
        self.compression, self.compression_opts = compression, compression_opts
        self.chunk_size = _whole("chunk_size", chunk_size)
        self.max_file_size = _whole("max_file_size", max_file_size)
        self.enable_swmr, self.durability = bool(enable_swmr), durability
        if not isinstance(patience, int | float | np.number) or not patience >= 0:
            raise OptionError(f"patience must be seconds, 0 or more, got {patience!r}")
        if compression == "gzip" and compression_opts not in (None, *range(10)):
            raise OptionError(f"compression_opts must be None or 0 to 9 for gzip, got {compression_opts!r}")
        if durability not in ("process", "fsync"):
            raise OptionError(f"durability must be 'process' or 'fsync', got {durability!r}")
        self._filters = Filters.of(compression, compression_opts, self.chunk_size)
        self._patience = patience
        self._members: OrderedDict[str, Session] = OrderedDict()
        self._members_lock = threading.Lock()
        with self._speaking("open"):
            self.file_path.parent.mkdir(parents=True, exist_ok=True)
            warn_of_network(self.file_path.parent)
            self._session = self._new_session(self.file_path)
            if not self.file_path.exists():
                self._create()
            self._session.read(self._check_layout)
        self._finalizer = weakref.finalize(self, _close_all, self._session, self._members)
        logger.info("HDF5 storage initialized: %s", self.file_path)

    def _new_session(self, path: Path) -> Session:
        filters = self._filters  # the store itself would live as long as its session
        return Session(
            path,
            patience=self._patience,
            reaching=self.enable_swmr,
            sync=self.durability == "fsync",
            prepare=lambda handle: skeleton.prepare(handle, filters),
        )

    def _create(self) -> None:
        turns = self._session.turns
        turns.take()
        try:
            # A creation that was killed leaves its draft.
            self.file_path.with_name(self.file_path.name + ".new").unlink(missing_ok=True)
            with contextlib.suppress(FileExistsError):
                create(
                    self.file_path,
                    lambda file: skeleton.initialise(file, self._filters),
                    sync=self.durability == "fsync",
                )
        finally:
            turns.release()

    def _check_layout(self, handle: Handle) -> None:
        if not skeleton.is_store(handle.file):
            raise HDF5StorageError(f"{self.file_path} is an HDF5 file but no store: it lacks its groups")

    @contextlib.contextmanager
    def _speaking(self, what: str, *, brief: bool = True) -> Iterator[None]:
        """Have every expected error be one of the store's.

        Signals wait until what is brief has been done: HDF5 does not survive an exception of a handler that
        runs while it reads or writes.
        """
        try:
            with deferred() if brief else contextlib.nullcontext():
                yield
        except (HDF5StorageError, OptionError):
            raise
        except InputError as error:
            raise StorageInputError(
                error.stream, error.expected, error.got, step=error.step, hint=error.hint
            ) from error
        except _EXPECTED as error:
            raise HDF5StorageError(f"{self.file_path}: cannot {what}: {_line(error)}") from error

    @contextlib.contextmanager
    def batch(self) -> Iterator[Any]:
        """Store many objects as one change: all of them are there when the block has been left, or none.

        Within the block the calling thread reads what it has stored; others see it afterwards and wait
        for their own calls until then. An object that is refused for its values leaves the others alone;
        any other error undoes all.

        Raises
        ------
        HDF5StorageError
            The change could not be stored.
        """
        with self._speaking("store a batch"):
            # What the block raises on its own account passes as it is.
            change = self._session.change()
            handle = change.__enter__()
        try:
            yield self
        except BaseException as error:
            if not change.__exit__(type(error), error, error.__traceback__):
                raise
        else:
            with self._speaking("store a batch"):
                change.__exit__(None, None, None)
            self._rotate_when_full(_size(handle))

    def _store(self, what: str, plan: Callable[[], objects.Plan]) -> str:
        with self._speaking(f"store {what}"):
            made = plan()
            with self._session.change() as handle:
                name = objects.store(handle, self._filters, made, self._elsewhere(handle, made))
            size = _size(handle)
        logger.debug("stored %s in %s", name, self.file_path)
        self._rotate_when_full(size)
        return name

    def _elsewhere(self, handle: Handle, plan: objects.Plan) -> Callable[[str], bool] | None:
        """Ids that a rotated file has of the millisecond of a new object."""
        slack = 0.001
        near = [
            m for m in family.members_of(handle) if m.covers(plan.timestamp - slack, plan.timestamp + slack)
        ]
        if not near:
            return None
        return lambda name: any(
            session.read(lambda h: objects.exists(h, plan.kind, name)) for _, session in self._open(near)
        )

    def _open(self, members: list[family.Member]) -> Iterator[tuple[Path, Session]]:
        """Sessions of rotated files; those that are gone are left out with a warning."""
        for member in members:
            path = self.file_path.with_name(member.name)
            if not path.exists():
                logger.warning("Rotated file not found: %s", path)
                continue
            yield path, self._member_session(member.name, path)

    def _member_session(self, name: str, path: Path) -> Session:
        with self._members_lock:
            if name not in self._members:
                self._members[name] = self._new_session(path)
            self._members.move_to_end(name)
            oldest = self._members.popitem(last=False)[1] if len(self._members) > _OPEN_MEMBERS else None
            found = self._members[name]
        if oldest is not None:
            # Whoever still uses it opens it again.
            oldest.close()
        return found

    def _family(self) -> list[family.Member]:
        return self._session.read(family.members_of)

    def files(self) -> list[Path]:
        """The files of this store, the oldest rotated one first and the one that is written last."""
        with self._speaking("list files"):
            rotated = [self.file_path.with_name(member.name) for member in self._family()]
            return [*(path for path in rotated if path.exists()), self.file_path]

    def _find(self, noun: str, name: Any, find: Callable[[Handle, str], Callable[[], Any] | None]) -> Any:
        """What an object holds, in whichever file of the store it is; None with a warning if in none."""
        with self._speaking(f"retrieve {noun.lower()} {name!r}"):
            if not isinstance(name, str):
                raise InputError("id", "an id as str", type(name).__name__)

            def finish(read: Callable[[], Any] | None) -> Any:
                return None if read is None else (read(),)

            found = self._session.fetch(lambda handle: find(handle, name), finish)
            if found is None:
                # The newest first: what is asked for is rarely old.
                for _, session in self._open(self._family()[::-1]):
                    with contextlib.suppress(FileNotFoundError):  # its last object has just been removed
                        found = session.fetch(lambda handle: find(handle, name), finish)
                    if found is not None:
                        break
        if found is None:
            # A log that is a file in UTF-8 takes no half of a surrogate pair.
            logger.warning("%s not found: %s", noun, name if name.isprintable() else ascii(name))
            return None
        return found[0]

    def _rotate_when_full(self, size: int) -> None:
        if size > self.max_file_size and not self._session.changing:
            self.check_file_size()

    def check_file_size(self) -> bool:
        """Rotate the file if it has passed ``max_file_size``."""
        raise NotImplementedError

    @contextlib.contextmanager
    def _file_context(self, mode: str = "r") -> Iterator[Any]:
        """The open ``h5py.File``: ``"r"`` to look at it, ``"a"`` or ``"r+"`` for a change of one's own.

        What is changed happens when the block is left, all of it or nothing. Within a batch ``"r"`` shows
        what was there before it. Do not keep the file.

        Raises
        ------
        HDF5StorageError
            Whatever is raised inside; it is logged.
        """
        try:
            if mode == "r":
                with self._session.looking(apart=True) as handle:
                    yield handle.file
            elif mode in ("a", "r+"):
                with self._session.change(removes=True) as handle:
                    # Whatever fails here leaves a part of it in a batch around it.
                    handle.written += 1
                    yield handle.file
                    # Objects may have come, gone or changed: index and all that was kept are looked at anew.
                    handle.refresh()
                    skeleton.prepare(handle, self._filters)
                    objects.compare_indices(handle)
            else:
                raise StorageInputError("mode", "'r', 'r+' or 'a'", repr(mode))
        except Exception as error:
            logger.error("HDF5 operation failed: %s", error)
            if isinstance(error, HDF5StorageError):
                raise
            raise HDF5StorageError(f"HDF5 operation failed: {error}") from error

    def close(self) -> None:
        """Close the file: nothing is left beside it. A later call opens it again."""
        _close_all(self._session, self._members)
        logger.info("HDF5 storage closed")

    def __reduce__(self) -> NoReturn:
        raise TransferError("a store belongs to the process that opened it: open the file again in the other")


def _whole(name: str, value: Any) -> int:
    """An option that is a whole number from 1 on; ``1e9`` is one as well."""
    whole = isinstance(value, int | np.integer) or (isinstance(value, float) and value.is_integer())
    if not whole or isinstance(value, bool) or value < 1:
        raise OptionError(f"{name} must be a whole number, at least 1, got {value!r}")
    return int(value)


def _size(handle: Handle) -> int:
    return handle.overlay.size if handle.overlay is not None else 0


def _close_all(session: Session, members: OrderedDict[str, Session]) -> None:
    for each in (session, *members.values()):
        with contextlib.suppress(OSError, FlightrecError):
            each.close()
    members.clear()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
