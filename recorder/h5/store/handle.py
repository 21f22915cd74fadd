"""An open file of a store in one state, with what was found out about it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

import h5py
from h5py import h5g

from recorder.h5.store.overlay import KeptOverlay
from recorder.h5.store.state import State

T = TypeVar("T")


class Handle:
    """What a change or a read works with.

    Attributes
    ----------
    file : h5py.File
    state : State or None
        The state that it shows; None within its first change.
    overlay : KeptOverlay or None
        Where the file is written through; None for a reader.
    changing : bool
        Whether it is within a change.
    removes : bool
        The running change takes something away.
    written : int
        Objects that were begun.
    """

    def __init__(self, file: h5py.File, state: State | None, overlay: KeptOverlay | None = None) -> None:
        self.file, self.state, self.overlay = file, state, overlay
        self.removes = self.changing = False
        self.written = 0
        self._groups: dict[str, Any] = {}
        self._kept: dict[Any, Any] = {}
        self.before_commit: list[Callable[[], None]] = []

    def group(self, path: str) -> Any:
        """The low-level id of a group that stays where it is; opened once. None where there is none."""
        found = self._groups.get(path)
        if found is None:
            name = path.encode()
            if not _leads_to(self.file.id, path):
                return None
            found = self._groups[path] = h5g.open(self.file.id, name)
        return found

    def kept(self, key: Any, make: Callable[[], T]) -> T:
        """What ``make`` returned at the first call with this key; it belongs to the handle."""
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    def has(self, key: Any) -> bool:
        """Whether something is kept with this key."""
        return key in self._kept

    def forget(self) -> None:
        """Groups may have come or gone."""
        self._groups.clear()
        self._kept.clear()
        self.before_commit.clear()

    def refresh(self) -> None:
        """As :meth:`forget`, within a change: what waits for its end is done before."""
        self.settle()
        self.forget()

    def settle(self) -> None:
        """The change is complete but for what waited for its end."""
        for call in self.before_commit:
            call()

    def bytes_at(self, start: int, size: int) -> bytes | None:
        """Bytes of the file; None where its addresses are not HDF5's, or it is a file in memory."""
        if self.overlay is not None:
            return self.overlay.bytes_at(start, size)
        raw = getattr(self.file, "raw", None)
        return None if raw is None else os.pread(raw.descriptor, size, start)

    @property
    def by_position(self) -> bool:
        """Whether :meth:`bytes_at` knows."""
        return self.overlay is not None or getattr(self.file, "raw", None) is not None

    def close(self) -> None:
        """Close the file; what was not committed is gone."""
        overlay, self.overlay = self.overlay, None
        if overlay is not None:
            overlay.forsake()
        self.forget()
        with contextlib.suppress(Exception):
            self.file.close()
        if overlay is not None:
            overlay.close()


def _leads_to(file: Any, path: str) -> bool:
    place = ""
    for part in path.split("/"):
        place = f"{place}/{part}"
        if not file.links.exists(place.encode()):
            return False
    return True
