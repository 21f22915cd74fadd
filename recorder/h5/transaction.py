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
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py

from recorder.h5.overlay import OverlayFile

LIBVER = ("v110", "v110")
"""HDF5 2.x writes with ``latest`` what HDF5 1.14 cannot read."""

_HEAD = struct.Struct("<QQI")
_EXTENT = struct.Struct("<QI")


@contextlib.contextmanager
def transaction(path: Path, journal: Path, *, sync: bool = False) -> Iterator[h5py.File]:
    """An open file whose changes all happen when the block is left, or not at all.

    Parameters
    ----------
    path, journal : Path
        The file, which no other handle of this process has open, and its journal.
    sync : bool
        Also survive a power cut: ``fsync`` file and journal in the order that takes.

    Raises
    ------
    Exception
        Whatever the block raises; the file is then as it was.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        overlay = OverlayFile(descriptor)
        try:
            with h5py.File(overlay, "r+", libver=LIBVER) as file:
                yield file
        except BaseException:
            os.ftruncate(descriptor, overlay.old_size)
            raise
        commit(overlay, journal, sync=sync)
    finally:
        os.close(descriptor)


def replay(overlay: OverlayFile, journal: Path) -> bool:
    """Take what a complete journal says into ``overlay``; a torn one says nothing. True if complete."""
    try:
        data = journal.read_bytes()
    except FileNotFoundError:
        return False
    size, extents = _parse(data)
    if extents is None:
        return False
    for offset, content in extents:
        overlay.seek(offset)
        overlay.write(content)
    overlay.truncate(size)
    return True


def commit(overlay: OverlayFile, journal: Path, *, sync: bool = False) -> None:
    """Make what was held back happen, by way of the journal.

    Raises
    ------
    OSError
        The journal could not be written, and nothing was changed; or the file could not, and the journal
        stays for the next repair.
    """
    if overlay.error is not None:
        os.ftruncate(overlay.descriptor, overlay.old_size)
        raise overlay.error
    extents = overlay.extents()
    body = b"".join(_EXTENT.pack(offset, len(data)) + data for offset, data in extents)
    try:
        with journal.open("wb") as out:
            out.write(_HEAD.pack(overlay.size, len(body), zlib.crc32(body)) + body)
            out.flush()
            if sync:
                os.fsync(overlay.descriptor)
                os.fsync(out.fileno())
                _sync_folder(journal.parent)
    except OSError:
        journal.unlink(missing_ok=True)
        os.ftruncate(overlay.descriptor, overlay.old_size)
        raise
    _apply(overlay.descriptor, extents, overlay.size)
    if sync:
        os.fsync(overlay.descriptor)
    journal.unlink()


def _apply(descriptor: int, extents: list[tuple[int, bytes]], size: int) -> None:
    # The superblock goes last: until it does, the old root is what a plain open finds.
    for offset, data in sorted(extents, reverse=True):
        os.pwrite(descriptor, data, offset)
    os.ftruncate(descriptor, size)


def _parse(data: bytes) -> tuple[int, list[tuple[int, bytes]] | None]:
    if len(data) < _HEAD.size:
        return 0, None
    size, length, crc = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if len(body) != length or zlib.crc32(body) != crc:
        return 0, None
    extents, at = [], 0
    while at < length:
        offset, count = _EXTENT.unpack_from(body, at)
        at += _EXTENT.size
        extents.append((offset, body[at : at + count]))
        at += count
    return size, extents


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
