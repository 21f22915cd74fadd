"""Backups of a store's files, and putting them back."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from recorder.errors import FlightrecError, HDF5StorageError
from recorder.h5.journal import sync_folder
from recorder.h5.reading.guard import BROKEN
from recorder.h5.store import family
from recorder.h5.store.check import check_store
from recorder.h5.store.overlay import claimed_end
from recorder.h5.store.recover import journal_of, recover
from recorder.h5.store.session import Session
from recorder.h5.untrusted import open_untrusted


def back_up(session: Session, folder: Path) -> Path:
    """A verified copy of a store's file in a folder; returns where it is.

    Raises
    ------
    HDF5StorageError
        The file is damaged.
    OSError
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, target = session.path, folder / session.path.name
    if target.exists() and target.samefile(path):
        raise HDF5StorageError(f"{target} is the store itself: back it up somewhere else")
    draft = target.with_name(target.name + ".new")
    with session.looking():
        found = path.stat()
        if target.exists():
            there = target.stat()
            if (there.st_size, there.st_mtime_ns) == (found.st_size, found.st_mtime_ns):
                return target
        shutil.copyfile(path, draft)
    _complete(draft)
    _require_sound(draft)
    os.utime(draft, ns=(found.st_mtime_ns, found.st_mtime_ns))
    draft.replace(target)
    sync_folder(folder)
    return target


def members_of(path: Path) -> list[str]:
    """Names of the rotated files that a file knows."""
    with open_untrusted(path) as file:
        return [member.name for member in family.members_in(file)]


def put_back(folder: Path, path: Path) -> list[Path]:
    """Put a backup in place of a store's files; returns the new names of the files that stood there.

    Raises
    ------
    HDF5StorageError
        A file of the backup is damaged or missing; nothing was changed.
    OSError
    """
    source = folder / path.name
    if not source.is_file():
        raise HDF5StorageError(f"{folder} has no backup of {path.name}")
    files = [folder / name for name in [*members_of(source), path.name]]
    for each in files:
        if not each.is_file():
            raise HDF5StorageError(f"{folder} lacks {each.name}, which belongs to the backup")
        _require_sound(each)
    path.parent.mkdir(parents=True, exist_ok=True)
    session = Session(path, patience=60.0, reaching=False, sync=True)
    session.turns.take()
    try:
        if path.exists() and journal_of(path).exists():
            # What was left of a change belongs to the file that goes; a damaged one may not take it any more.
            with contextlib.suppress(*BROKEN, FlightrecError):
                recover(path)
        journal_of(path).unlink(missing_ok=True)
        replaced = [
            moved for each in files if (moved := _replace(each, path.with_name(each.name))) is not None
        ]
        session.turns.finish(removed=True)
        sync_folder(path.parent)
    finally:
        session.turns.release()
        session.close()
    return replaced


def _replace(source: Path, target: Path) -> Path | None:
    draft = target.with_name(target.name + ".new")
    shutil.copy2(source, draft)
    _complete(draft)
    moved = None
    if target.exists():
        number = 0
        while moved is None or os.path.lexists(moved):
            moved = target.with_name(f"{target.name}.replaced" + (f".{number}" if number else ""))
            number += 1
        os.link(target, moved)
    draft.replace(target)
    return moved


def _complete(path: Path) -> None:
    """Cut a copy to its end, and have it on the disk."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, claimed_end(descriptor))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_sound(path: Path) -> None:
    for finding in check_store(path):
        raise HDF5StorageError(f"{path} is damaged: {finding}")
