"""Files that HDF5 reads through a Python object: none is left open when the interpreter goes.

HDF5 closes what was left open after Python is gone, and would call the object then, which crashes.
"""

from __future__ import annotations

import atexit
import contextlib
import weakref
from typing import TypeVar

import h5py
from h5py._objects import phil

F = TypeVar("F", bound=h5py.File)

_open: weakref.WeakValueDictionary[int, h5py.File] = weakref.WeakValueDictionary()
"""By ``id``: the hash of a file asks HDF5, which a damaged one may refuse."""


def closed_at_exit(file: F) -> F:
    """The same file, which is closed when the interpreter ends, if it is still open then."""
    _open[id(file)] = file
    return file


@atexit.register
def _close_all() -> None:
    # Never let go of: a thread that the interpreter stops while it reads would keep HDF5 from everybody.
    phil.acquire()
    for file in list(_open.values()):
        with contextlib.suppress(Exception):  # of one that is damaged; the others are closed all the same
            file.close()
