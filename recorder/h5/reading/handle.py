"""The open file behind a loader: lazily opened, one per process, never pickled."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from recorder.errors import ClosedError, DamagedError, FlightrecError, ReadError
from recorder.h5.disk import NO_FILES
from recorder.h5.file import open_for_reading, open_snapshot
from recorder.h5.lock import is_written
from recorder.h5.present import open_present
from recorder.h5.reading.episode import EpisodeIndex
from recorder.h5.reading.kind import is_original
from recorder.h5.reading.memory import reuse_memory
from recorder.h5.reading.stamp import Stamp, quiet_stamp, stamp_of

T = TypeVar("T")

ATTEMPTS = 20
"""Times that a read is done again when changes overtake it."""
TORN = 3
"""Times that a read of a living file is done again without a change: its bytes may be half written."""
FRESH_SECONDS = 0.02
"""A handle of a living file serves so long; then the next read opens another, which sees what is new."""
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class RecordingFile:
    """A recording's HDF5 file, opened when it is first needed in a process.

    A handle inherited over ``fork`` or pickled to a worker is the classic way to crash inside HDF5:
    each process opens its own.

    Attributes
    ----------
    path : Path
        The HDF5 file.
    original : bool
        Whether the file is in the layout of the original system instead of flightrec's.

    Parameters
    ----------
    newest : bool
        Of a recording that is being written, read what its ring holds as well.
    """

    def __init__(self, path: Path, *, newest: bool = False) -> None:
        self.path, self.newest = path, newest
        self.closed = False
        self.original = False
        self._reset()
        self.file()

    def _reset(self) -> None:
        self._file: Any = None
        self._index: EpisodeIndex | None = None
        self._pid = -1
        self._stamp: Stamp | None = None
        self._opened = 0.0
        self._inside = threading.local()

    def file(self) -> Any:
        """The open ``h5py.File`` of this process.

        Raises
        ------
        ClosedError
            After :meth:`close`.
        FileNotFoundError
            The file is not there.
        ReadError
            It is no recording, or of a format version this reader does not know.
        DamagedError
            It is a damaged HDF5 file.
        """
        if self._file is not None and self._pid == os.getpid():
            return self._file
        if self.closed:
            raise ClosedError(f"the loader of {self.path} has been closed: open another one")
        stamp = quiet_stamp(self.path)
        # Who watches repairs nothing that another machine may be at work on.
        newest = self.newest and is_written(self.path)
        file = _open_alone(self.path) if newest else _open(self.path)
        reuse_memory()
        # A lock that is gone by now was left by a killed writer, whose recording has just been repaired.
        living = stamp[1] is not None and stamp_of(self.path)[1] is not None
        if living and (newest or file.swmr_mode):
            file.close()
            file = open_present(self.path) if newest else _open_alone(self.path)
        try:
            self.original = is_original(file, self.path)
        except BaseException:
            file.close()
            raise
        self._file, self._pid, self._index = file, os.getpid(), None
        self._stamp, self._opened = (stamp if living else None), time.monotonic()
        return file

    def episodes(self) -> EpisodeIndex:
        """The episodes of the open file; raises what :meth:`file` does."""
        file = self.file()
        if self._index is None:
            self._index = EpisodeIndex(file)
        return self._index

    def steady(self, read: Callable[[], T]) -> T:
        """What ``read`` returns, all of it from one state of the file's structure.

        While the recording is written, episodes begin and end under the reader. A read that such a
        change has overtaken is thrown away and done again with a new handle. What is read is what was
        committed at most ``FRESH_SECONDS`` before the call.

        Raises
        ------
        ReadError
            What ``read`` raised without any change, or after ``ATTEMPTS`` of them; or it needs more memory
            than there is.
        """
        self.file()
        try:
            if self._stamp is None or getattr(self._inside, "reading", False):
                return read()
            self._inside.reading = True
            try:
                return self._repeated(read)
            finally:
                self._inside.reading = False
        except MemoryError as error:
            raise ReadError(
                f"{self.path}: not enough memory for this read; ask for a range: {error}"
            ) from error

    def _repeated(self, read: Callable[[], T]) -> T:
        for attempt in range(ATTEMPTS):
            late = time.monotonic() - self._opened > FRESH_SECONDS
            if attempt or late or stamp_of(self.path) != self._stamp:
                self.refresh()
            try:
                self.file()
                found = read()
            except ReadError:
                if attempt == ATTEMPTS - 1 or (attempt >= TORN and stamp_of(self.path) == self._stamp):
                    raise
                time.sleep(0.001)
                continue
            if self._stamp is None or stamp_of(self.path) == self._stamp:
                return found
        raise ReadError(f"{self.path} changes faster than it can be read: ask for a smaller range")

    @property
    def living(self) -> bool:
        """Whether the recording was being written when its file was opened."""
        self.file()
        return self._stamp is not None

    def refresh(self) -> None:
        """Let go of the file, so that the next read sees its present state."""
        if self._file is not None and self._pid == os.getpid():
            self._file.close()
        self._file = self._index = None

    def close(self) -> None:
        """Close the file; idempotent. In a forked child the parent's handle stays open."""
        self.refresh()
        self.closed = True

    def __getstate__(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "newest": self.newest,
            "closed": self.closed,
            "original": self.original,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()


def _open(path: Path) -> Any:
    try:
        return open_for_reading(path)
    except (FlightrecError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        if getattr(error, "errno", None) in NO_FILES:
            raise
        with path.open("rb") as file:
            known = file.read(len(_SIGNATURE)) == _SIGNATURE
        if known:
            raise DamagedError(f"{path} is damaged: {error}") from error
        raise ReadError(f"{path} is no HDF5 file: {error}") from error


def _open_alone(path: Path) -> Any:
    """A living file apart from every other handle of this process.

    Not in SWMR mode: where a dataset is open more than once in a process, ``H5Drefresh`` of HDF5 2.0
    leaves its chunks at wrong places, and reads return other rows without an error.
    """
    try:
        return open_snapshot(path)
    except (OSError, RuntimeError) as error:
        raise DamagedError(f"{path} cannot be read while it changes: {error}") from error
