"""What a killed process left of a change: completed where its journal is whole, else forgotten."""

from __future__ import annotations

import os
from pathlib import Path

import h5py

from recorder.errors import DamagedError
from recorder.format.layout import JOURNAL_SUFFIX, companion
from recorder.h5 import journal
from recorder.h5.leftover import closed_at_exit
from recorder.h5.store.overlay import KeptOverlay, claimed_end
from recorder.h5.transaction import LIBVER, commit


def journal_of(path: Path) -> Path:
    """Where the journal of a store's file stands while a change is applied."""
    return companion(path, JOURNAL_SUFFIX)


def recover(path: Path) -> None:
    """Complete the change whose journal lies beside the file. Only in one's turn.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    place = journal_of(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        overlay = KeptOverlay(descriptor, end=claimed_end(descriptor), untrusted=True)
        if journal.replay(overlay, place)[0]:
            commit(overlay, place, sync=True, trim=True)
    finally:
        os.close(descriptor)
    journal.discard(place, sync=True)


def open_recovered(path: Path) -> h5py.File:
    """The file as :func:`recover` would leave it, read-only, without a byte being written anywhere."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    overlay = KeptOverlay(descriptor, end=claimed_end(descriptor), memory=True, close=True, untrusted=True)
    try:
        journal.replay(overlay, journal_of(path))
        overlay.clear_flags()
        return closed_at_exit(h5py.File(overlay, "r", libver=LIBVER))
    except DamagedError as error:
        overlay.close()
        raise OSError(str(error)) from error
    except BaseException:
        overlay.close()
        raise
