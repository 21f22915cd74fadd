"""No garbage is collected while HDF5 reads through fsspec.

HDF5 holds h5py's lock while it waits for the thread in which fsspec makes its requests. Where that thread is
the one to collect cyclic garbage, and objects of h5py are among it, it waits for the lock, and both for ever.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from types import TracebackType

_PATIENCE = 2000
"""Milliseconds that a collection of another thread is waited for; it may be as long, and need no lock."""


class NoCollection:
    """A context in which no thread begins to collect; contexts may be nested, and be in several threads."""

    def __init__(self) -> None:
        # Collections run finalizers, which may come here again in the same thread.
        self._lock = threading.RLock()
        self._depth, self._enabled = 0, False
        self._collector: int | None = None
        self._noting = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._noting:
                self._noting = True
                gc.callbacks.append(self._note)
                os.register_at_fork(after_in_child=self._forked)
            if self._depth == 0:
                self._enabled = gc.isenabled()
                gc.disable()
            self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._depth = max(0, self._depth - 1)  # a fork in between has set it to 0
            if self._depth == 0 and self._enabled:
                gc.enable()

    def wait(self) -> None:
        """Until a collection that another thread had begun is over; not from inside HDF5."""
        for _ in range(_PATIENCE):
            if self._collector in (None, threading.get_ident()):
                return
            time.sleep(0.001)

    def _note(self, phase: str, _: object) -> None:
        self._collector = threading.get_ident() if phase == "start" else None

    def _forked(self) -> None:
        self._lock = threading.RLock()
        if self._depth and self._enabled:
            gc.enable()
        self._depth, self._collector = 0, None


no_collection = NoCollection()
