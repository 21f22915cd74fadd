"""Opening recordings: how a file is created, and how any file is opened to be read."""

from __future__ import annotations

import errno
import io
import os
import time
from collections.abc import Callable
from pathlib import Path

import h5py

from recorder.errors import DamagedError, ReadError, RecordingLockedError
from recorder.h5.disk import NO_FILES
from recorder.h5.journal import sync_folder
from recorder.h5.lock import owner_of
from recorder.h5.repair import needs_repair, open_unwritten, repair
from recorder.h5.transaction import LIBVER
from recorder.h5.untrusted import open_untrusted

_PATIENCE = 2.0
"""Seconds to wait for a living writer to leave the moment in which HDF5 reopens its file."""

_UNWRITABLE = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Of a disk that does not take the repair of what it has."""


def create(path: Path, initialise: Callable[[h5py.File], None], *, sync: bool = False) -> None:
    """A new file, visible under its name only once it is whole; with ``sync`` also after a power cut.

    Raises
    ------
    FileExistsError
        There is one already; it is left alone.
    """
    image = io.BytesIO()
    # In memory, where no write is refused: HDF5 does not survive that.
    with h5py.File(image, "w", libver=LIBVER) as file:
        initialise(file)
    draft = path.with_name(path.name + ".new")
    with draft.open("xb") as out:
        out.write(image.getbuffer())
        if sync:
            out.flush()
            os.fsync(out.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links; the folder is ours alone.
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    if sync:
        # Its folder is new as well, and the folder of that may be.
        for folder in path.parents[:3]:
            sync_folder(folder)


def open_for_reading(path: Path) -> h5py.File:
    """A recording's file, read-only.

    A killed recording is repaired first (in memory, where its folder cannot be written, or the disk is full);
    a living one is opened in SWMR mode, with its committed rows.

    Raises
    ------
    ReadError
        The file is no HDF5 file, or cannot be made whole.
    OSError
        The file cannot be opened.
    """
    if needs_repair(path):
        try:
            repair(path)
        except RecordingLockedError:
            return _open_live(path)
        except PermissionError:
            return open_unwritten(path)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            return open_unwritten(path)
    try:
        return open_untrusted(path, lock=True)
    except BlockingIOError as error:
        raise ReadError(f"{path} cannot be read now: {error.strerror}") from error
    except OSError as error:
        if error.errno in NO_FILES or not path.is_file():
            raise
        raise DamagedError(f"{path} is no HDF5 file, or is damaged: {error}") from error


def _open_live(path: Path) -> h5py.File:
    if owner_of(path).get("pid") == os.getpid():
        return open_snapshot(path)
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return h5py.File(path, "r", libver=LIBVER, swmr=True)
        except OSError as error:
            if time.monotonic() > deadline:
                raise ReadError(f"{path} is being written and cannot be opened: {error}") from error
            time.sleep(0.005)


def open_snapshot(path: Path) -> h5py.File:
    """The file as it is on disk, read-only, apart from any writer of this process.

    In one process HDF5 would share the writer's open file; a file object keeps the two apart.
    """
    return open_untrusted(path)
