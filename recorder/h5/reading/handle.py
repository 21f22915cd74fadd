"""The open file behind a loader: lazily opened, one per process, never pickled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from recorder.errors import ClosedError, DamagedError, FlightrecError, ReadError
from recorder.format.layout import EPISODES, FORMAT, FORMAT_VERSION
from recorder.h5.file import open_for_reading
from recorder.h5.reading.guard import attributes, child_group, damage

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
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed = False
        self.original = False
        self._file: Any = None
        self._pid = -1
        self.file()

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
        file = _open(self.path)
        try:
            self.original = _is_original(file, self.path)
        except BaseException:
            file.close()
            raise
        self._file, self._pid = file, os.getpid()
        return file

    def refresh(self) -> None:
        """Let go of the file, so that the next read sees its present state."""
        if self._file is not None and self._pid == os.getpid():
            self._file.close()
        self._file = None

    def close(self) -> None:
        """Close the file; idempotent. In a forked child the parent's handle stays open."""
        self.refresh()
        self.closed = True

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "closed": self.closed, "original": self.original}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _file=None, _pid=-1)


def _open(path: Path) -> Any:
    try:
        return open_for_reading(path)
    except (FlightrecError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        with path.open("rb") as file:
            known = file.read(len(_SIGNATURE)) == _SIGNATURE
        if known:
            raise DamagedError(f"{path} is damaged: {error}") from error
        raise ReadError(f"{path} is no HDF5 file: {error}") from error


def _is_original(file: Any, path: Path) -> bool:
    with damage(str(path)):
        root = attributes(file)
        if root.get("format") == FORMAT:
            version = str(root.get("format_version"))
            known = FORMAT_VERSION.partition(".")[0]
            if version.partition(".")[0] != known:
                raise ReadError(
                    f"{path} has format version {version}; this one reads {known}.x: update flightrec"
                )
            return False
        if "format" in root or child_group(file, EPISODES) is None:
            raise ReadError(
                f"{path} is an HDF5 file but no recording (no format attribute, no group 'episodes')"
            )
        return True
