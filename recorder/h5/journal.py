"""The journal of a structural change: what will be written over old bytes, whole or not at all.

``.journal`` stands beside the file while a change is applied. With ``durability="fsync"`` a change also
notes the writer's state, and its journal stays as ``.journal.kept`` until the next one: what is applied
need not have reached the disk before then, and a ring that a power cut has torn is not needed.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from recorder.format.layout import KEPT_SUFFIX
from recorder.h5.overlay import OverlayFile

_HEAD = struct.Struct("<QQI")
_EXTENT = struct.Struct("<QI")
_NOTE = (1 << 64) - 1
"""The offset of an extent that is no part of the file: the note."""

Extents = list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Note:
    """The writer's state after a change: records before ``upto`` are in the file or in ``state``."""

    upto: int
    state: bytes

    def pack(self) -> bytes:
        """As it stands in a journal."""
        return struct.pack("<Q", self.upto) + self.state

    @classmethod
    def unpack(cls, data: bytes) -> Note:
        """The note that :meth:`pack` wrote."""
        return cls(int.from_bytes(data[:8], "little"), data[8:])


def write(
    journal: Path, size: int, extents: Extents, note: Note | None = None, *, sync: bool = False
) -> None:
    """Write a journal; it has its name only once it is whole, so the one before it stays until then.

    That the name is durable takes a :func:`sync_folder` besides.

    Raises
    ------
    OSError
        It could not be written; there is none, or the one that was there.
    """
    if note is not None:
        extents = [*extents, (_NOTE, note.pack())]
    body = b"".join(_EXTENT.pack(offset, len(data)) + data for offset, data in extents)
    draft = _draft(journal)
    try:
        with draft.open("wb") as out:
            out.write(_HEAD.pack(size, len(body), zlib.crc32(body)) + body)
            out.flush()
            if sync:
                os.fsync(out.fileno())
        draft.replace(journal)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def replay(overlay: OverlayFile, journal: Path) -> tuple[bool, Note | None]:
    """Take what a journal says into ``overlay``; a torn one says nothing.

    Returns
    -------
    tuple of bool and Note or None
        Whether there was a change to apply, and the writer's state after it.
    """
    for path in (journal, _kept(journal)):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        found = _parse(data)
        if found is not None:
            size, extents = found
            note = None
            for offset, content in extents:
                if offset == _NOTE:
                    note = Note.unpack(content)
                else:
                    overlay.seek(offset)
                    overlay.write(content)
            overlay.truncate(size)
            return True, note
    return False, None


def keep(journal: Path) -> None:
    """The change was applied, but may not have reached the disk: its journal stays under another name."""
    journal.replace(_kept(journal))


def discard(journal: Path, *, sync: bool = False) -> None:
    """Remove all journals. The oldest is gone for good before the newest goes: none may come back alone."""
    _draft(journal).unlink(missing_ok=True)
    try:
        _kept(journal).unlink()
    except FileNotFoundError:
        pass
    else:
        if sync:
            sync_folder(journal.parent)
    journal.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _kept(journal: Path) -> Path:
    return journal.with_name(journal.name.removesuffix(journal.suffix) + KEPT_SUFFIX)


def _draft(journal: Path) -> Path:
    return journal.with_name(journal.name + ".new")


def _parse(data: bytes) -> tuple[int, Extents] | None:
    if len(data) < _HEAD.size:
        return None
    size, length, crc = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if len(body) != length or zlib.crc32(body) != crc:
        return None
    extents, at = [], 0
    while at < length:
        offset, count = _EXTENT.unpack_from(body, at)
        at += _EXTENT.size
        extents.append((offset, body[at : at + count]))
        at += count
    return size, extents
