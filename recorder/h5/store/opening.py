"""Opening a store's file, for changes and to be read."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from recorder.errors import StorageLockedError
from recorder.h5.store.handle import Handle
from recorder.h5.store.overlay import KeptOverlay, claimed_end
from recorder.h5.store.recover import open_recovered
from recorder.h5.store.state import State
from recorder.h5.transaction import LIBVER
from recorder.h5.untrusted import open_untrusted

CACHE_BYTES = 1 << 17
"""Of HDF5's metadata: at each flush it looks at all it has, so more would make every change slower."""


def open_writer(path: Path) -> Handle:
    """The file for changes, which are held back. Only in one's turn.

    Raises
    ------
    OSError
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    overlay = KeptOverlay(descriptor, end=claimed_end(descriptor), close=True, untrusted=True)
    try:
        overlay.clear_flags()
        file = h5py.File(overlay, "r+", libver=LIBVER)
    except BaseException:
        overlay.close()
        raise
    _limit_cache(file)
    return Handle(file, None, overlay)


def open_reader(path: Path, state: State) -> Handle:
    """The file to be read, as it is in a state; what a dead process left is completed in memory.

    Raises
    ------
    OSError
    """
    return Handle(open_recovered(path) if state.left else open_untrusted(path), state)


@contextlib.contextmanager
def shared(handle: Handle, path: Path) -> Iterator[None]:
    """Have HDF5 refuse to open the file for writing elsewhere, and notice where it has."""
    assert handle.overlay is not None
    descriptor = handle.overlay.descriptor
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageLockedError(f"{path} is open for writing in another program") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def _limit_cache(file: Any) -> None:
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.max_size = CACHE_BYTES
    config.min_size = min(config.min_size, CACHE_BYTES)
    config.incr_mode = config.flash_incr_mode = config.decr_mode = 0
    file.id.set_mdc_config(config)
