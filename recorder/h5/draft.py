"""A new HDF5 file on a disk that may fill up while it is written.

HDF5 does not survive a write that is refused: it writes the same again when the file is closed, and once
more when the interpreter ends, which may die of it. So it is told that all went well, and the writer asks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py

from recorder.errors import WriteError
from recorder.h5.overlay import OverlayFile
from recorder.h5.transaction import LIBVER

_LARGE = 1 << 16
_MOST_PAGES = 1 << 16
"""After an error the rest of what is being copied still comes. Of HDF5's own structures, which it may want to
read again, 256 MiB are held; data are let go."""


class Draft:
    """A file that is made, and that nobody else sees yet.

    Attributes
    ----------
    file : h5py.File

    Parameters
    ----------
    path : Path
        Where it is written; replaced.
    **strategy
        Of ``h5py.File``.

    Raises
    ------
    WriteError
        There is no room for it.
    OSError
        It may not stand there.
    """

    def __init__(self, path: Path, **strategy: Any) -> None:
        self._path = path
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if type(error) is not OSError:
                raise
            raise failed(path, error) from error
        self._raw = _Draft(descriptor, close=True)
        try:
            self.file = h5py.File(self._raw, "w", libver=LIBVER, **strategy)
        except BaseException:
            self._raw.close()
            raise

    def check(self) -> None:
        """Whether all that was written up to now is there.

        Raises
        ------
        WriteError
            It is not, and nothing that follows will be.
        """
        if self._raw.error is not None:
            raise failed(self._path, self._raw.error) from self._raw.error

    def close(self) -> None:
        """Close the file.

        Raises
        ------
        WriteError
            Not all of it is there.
        """
        try:
            self.file.close()
        except Exception:
            # HDF5 may miss what there was no room for.
            self.check()
            raise
        finally:
            self._raw.settle()
            self._raw.close()
        self.check()


class _Draft(OverlayFile):
    """Keeps the first error of writing, and after it only what HDF5 may need to come to its end."""

    def _hold(self, start: int, view: memoryview) -> None:
        if len(view) < _LARGE and len(self._pages) < _MOST_PAGES:
            super()._hold(start, view)


def failed(path: Path, error: OSError) -> WriteError:
    """The error of a file that could not be written; its cause is chained by the caller."""
    return WriteError(f"{path} could not be written: {error.strerror or error}")
