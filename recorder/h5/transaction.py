"""Atomic structural changes: all of "create these groups, datasets and attributes", or nothing.

HDF5 is opened through a Python file object. Writes past the old end of the file go through, because
nothing points there yet; writes over old bytes are held back. Leaving the transaction writes the held
bytes, with length and CRC-32, to a journal beside the file, applies them and deletes the journal.
A kill before the journal is complete leaves the old file (and some dead bytes past its end); a kill
after it leaves a journal that :func:`replay` applies.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py

from recorder.h5 import journal, superblock
from recorder.h5.disk import write_all
from recorder.h5.overlay import OverlayFile

LIBVER = ("v110", "v110")
"""HDF5 2.x writes with ``latest`` what HDF5 1.14 cannot read."""

LEAD = 16 << 20
"""How far the file of a recording at work reaches beyond the end it claims."""


@contextlib.contextmanager
def transaction(
    path: Path,
    journal_path: Path,
    *,
    note: Callable[[], journal.Note] | None = None,
    ahead: Callable[[int], bytes | bytearray] | None = None,
) -> Iterator[h5py.File]:
    """An open file whose changes all happen when the block is left, or not at all.

    Parameters
    ----------
    path, journal_path : Path
        The file, which no other handle of this process has open, and its journal.
    note : callable, optional
        Also survive a power cut: file and journal are synced in the order that takes, and the journal
        stays, with the state that this returns once the block is done, until the next one is whole.
    ahead : callable, optional
        Bytes that the file begins to end with before HDF5 opens it; told where they will be.

    Raises
    ------
    Exception
        Whatever the block or ``ahead`` raises; the file is then as it was.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        overlay = OverlayFile(descriptor, end=superblock.end_of(descriptor))
        reserve(descriptor, overlay.old_size)
        try:
            if ahead is not None:
                _append(overlay, ahead(overlay.old_size))
            with h5py.File(overlay, "r+", libver=LIBVER) as file:
                yield file
            noted = None if note is None else note()
        except BaseException:
            _cut_back(overlay)
            raise
        commit(overlay, journal_path, sync=noted is not None, note=noted)
    finally:
        os.close(descriptor)


def _append(overlay: OverlayFile, data: bytes | bytearray) -> None:
    if data:
        superseded = superblock.reaching(overlay.descriptor, overlay.old_size + len(data))
        for at, block in ((overlay.old_size, data), (0, superseded)):
            overlay.seek(at)
            overlay.write(block)


def reserve(descriptor: int, end: int) -> None:
    """Have the file reach beyond the end that its superblock claims.

    Readers look at the file's size first and at the claim later, so the claims to come must be of sizes
    that the file has had for a while. The space takes no room on the disk.
    """
    with contextlib.suppress(OSError):
        if os.fstat(descriptor).st_size < end + LEAD // 2:
            os.ftruncate(descriptor, end + LEAD)


def commit(
    overlay: OverlayFile,
    path: Path,
    *,
    sync: bool = False,
    note: journal.Note | None = None,
    trim: bool = False,
) -> None:
    """Make what was held back happen, by way of the journal at ``path``; ``trim`` ends the file at its end.

    Raises
    ------
    OSError
        The journal could not be written, and nothing was changed; or the file could not, and the journal
        stays for the next repair.
    """
    overlay.settle()
    extents = overlay.extents()
    try:
        if overlay.error is not None:
            raise overlay.error
        if sync:
            # What the change before this one applied, too: from here on its journal may go.
            os.fsync(overlay.descriptor)
        journal.write(path, overlay.size, extents, note, sync=sync)
    except OSError:
        _cut_back(overlay, room=not trim)
        raise
    if sync:
        # Should this fail, the journal is there all the same, and a repair applies it.
        journal.sync_folder(path.parent)
    try:
        _apply(overlay.descriptor, extents)
    except OSError:
        # Half of it opens nowhere but here. Unlike HDF5's writes, these may be made again.
        _apply(overlay.descriptor, extents)
    if trim:
        os.ftruncate(overlay.descriptor, overlay.size)
    else:
        reserve(overlay.descriptor, overlay.size)
    if note is not None:
        journal.keep(path)
        return
    if sync:
        os.fsync(overlay.descriptor)
    journal.discard(path, sync=sync)


def _apply(descriptor: int, extents: journal.Extents) -> None:
    # First the new end: a reader that comes between must not find addresses beyond the one it knows.
    for offset, data in extents[:1]:
        if offset == 0:
            write_all(descriptor, data[: superblock.SIZE], 0)
    for offset, data in sorted(extents, reverse=True):
        write_all(descriptor, data, offset)


def _cut_back(overlay: OverlayFile, *, room: bool = True) -> None:
    os.ftruncate(overlay.descriptor, overlay.old_size)
    if room:
        reserve(overlay.descriptor, overlay.old_size)
