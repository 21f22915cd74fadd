"""A new HDF5 file on a disk that may fill up while it is written.

HDF5 does not survive a write that is refused: it writes the same again when the file is closed, and once
more when the interpreter ends, which may die of it. So it is told that all went well, and the writer asks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py

from recorder.errors import WriteError
from recorder.h5.overlay import OverlayFile
from recorder.h5.transaction import LIBVER
from recorder.interrupts import deferred, remembered

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_LARGE = 1 << 16
_MOST_PAGES = 1 << 16
"""After an error the rest of what is being copied still comes. Of HDF5's own structures, which it may want to
read again, 256 MiB are held; data are let go."""


class DraftBytes(OverlayFile):
    """A file object for HDF5 to write through, which keeps the first error instead of raising it.

    After an error it has only what HDF5 may need to come to its end.
    """

    def __init__(self, path: Path, due: Callable[[], None]) -> None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if type(error) is not OSError:
                raise
            raise failed(path, error) from error
        super().__init__(descriptor, close=True)
        self._path, self._due = path, due

    def check(self) -> None:
        """Whether all that was written up to now is there.

        Raises
        ------
        WriteError
            It is not, and nothing that follows will be.
        """
        if self.error is not None:
            raise failed(self._path, self.error) from self.error

    def step(self) -> None:
        """As :meth:`check`, and handlers of signals that came run here; not inside HDF5."""
        self.check()
        self._due()

    def _hold(self, start: int, view: memoryview) -> None:
        if len(view) < _LARGE and len(self._pages) < _MOST_PAGES:
            super()._hold(start, view)


@contextlib.contextmanager
def draft_bytes(path: Path) -> Iterator[DraftBytes]:
    """What HDF5 is to write a new file through; signals wait meanwhile, but for :meth:`DraftBytes.step`.

    Raises
    ------
    WriteError
        The disk is full, whatever else came of it.
    FileExistsError
        There is something at ``path``, which is left alone.
    OSError
        The file may not stand there.
    """
    # A handler would raise through HDF5, which does not survive that either.
    with deferred() as due, contextlib.closing(DraftBytes(path, due)) as raw:
        try:
            yield raw
        except Exception:
            raw.check()
            raise
        raw.settle()
        raw.check()
        os.ftruncate(raw.descriptor, raw.size)


@contextlib.contextmanager
def draft_file(path: Path, **keywords: Any) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """As :func:`draft_bytes`: an open file, and its ``step``; ``keywords`` are those of ``h5py.File``."""
    with draft_bytes(path) as raw, h5py.File(raw, "w", **{"libver": LIBVER, **keywords}) as file:
        yield file, raw.step


@contextlib.contextmanager
def beside(target: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Where to write what becomes ``target``, removed after the block, if it is there still.

    Folders are made for it, and stay unless an exception leaves the block. The second thing is called before
    the file is put in place: it raises what handlers of signals raised, where that was lost.
    """
    made = [folder for folder in target.parents if not folder.exists()]
    # A name of its own: another process may be at work on the same target, and `.new` may be a user's file.
    draft = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(8)}.new")
    try:
        with remembered() as due:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield draft, due
        made = []
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def failed(path: Path, error: OSError) -> WriteError:
    """The error of a file that could not be written; its cause is chained by the caller."""
    return WriteError(f"{path} could not be written: {error.strerror or error}")
