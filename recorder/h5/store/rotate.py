"""A full file goes away under another name, and an empty one that knows of it takes its place.

The file gets its second name first, by a link that no other file can be lost to, and then the new one is
moved over the first name: at every instant the store's name leads to a whole store.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py

from recorder.format.storage import STORE_ID
from recorder.h5.journal import sync_folder
from recorder.h5.reading.guard import BROKEN
from recorder.h5.store import family, skeleton
from recorder.h5.store.arrays import Filters
from recorder.h5.store.overlay import claimed_end
from recorder.h5.store.session import Session
from recorder.h5.transaction import LIBVER
from recorder.h5.untrusted import open_untrusted


def rotate(session: Session, filters: Filters, stem: str) -> Path:
    """Rotate a store's file, and return where it is now: at ``stem``, or with a number behind it.

    Raises
    ------
    OSError
        The folder cannot be written, or its file system has no links.
    """
    path = session.path
    with session.looking() as handle:
        _forget_killed(path)
        root = skeleton.root_of(handle)
        members, member = family.members_of(handle), family.member_of(handle, "")
        known = {m.name for m in members}
        number = 0
        while True:
            name = f"{stem}_{number}{path.suffix}" if number else f"{stem}{path.suffix}"
            number += 1
            target = path.with_name(name)
            if name in known or os.path.lexists(target):
                continue
            # The draft says which name a rotation was about to give, should it be killed.
            _write_draft(path, filters, root.get(STORE_ID), [*members, replace(member, name=name)])
            try:
                os.link(path, target)
            except FileExistsError:
                continue
            except OSError:
                _draft(path).unlink(missing_ok=True)
                raise
            break
        shutil.copymode(target, _draft(path))
        _draft(path).replace(path)
        sync_folder(path.parent)
        with contextlib.suppress(OSError):
            _trim(target)
    return target


def _draft(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _write_draft(path: Path, filters: Filters, store_id: str | None, members: list[family.Member]) -> None:
    image = io.BytesIO()
    with h5py.File(image, "w", libver=LIBVER) as file:
        skeleton.initialise(file, filters, store_id)
        family.put_members(file, members)
    with _draft(path).open("wb") as out:
        out.write(image.getbuffer())
        out.flush()
        os.fsync(out.fileno())


def _forget_killed(path: Path) -> None:
    """Take back the name that a killed rotation had given, and its draft."""
    draft = _draft(path)
    if not draft.exists():
        return
    with contextlib.suppress(*BROKEN, FileNotFoundError), open_untrusted(draft) as file:
        named = path.with_name(family.members_in(file)[-1].name)
        if named.samefile(path):
            named.unlink()
    draft.unlink(missing_ok=True)


def _trim(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, claimed_end(descriptor))
    finally:
        os.close(descriptor)
