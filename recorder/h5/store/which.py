"""Whether a file is a store's, also in the middle of a change."""

from __future__ import annotations

from pathlib import Path

from recorder.errors import FlightrecError
from recorder.h5.reading.guard import BROKEN
from recorder.h5.store import skeleton, turns
from recorder.h5.untrusted import open_untrusted

_WRONG: tuple[type[Exception], ...] = (*BROKEN, FlightrecError, MemoryError)


def is_store_file(path: Path) -> bool:
    """Whether a file is a store's; False where it cannot be opened and nothing beside it says so."""
    if turns.counts(path):
        return True
    try:
        with open_untrusted(path) as file:
            return skeleton.is_store(file)
    except _WRONG:
        return False
