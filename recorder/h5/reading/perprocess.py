"""Open files that no process shares: HDF5 crashes with handles that came over ``fork`` or a pickle."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from recorder.errors import ClosedError


class Closable(Protocol):
    """What a process opens for itself."""

    def close(self) -> None:
        """Let go of it."""


T = TypeVar("T", bound=Closable)


class PerProcess(Generic[T]):
    """Something that each process opens at its first use. It can be pickled if ``open_it`` can.

    Parameters
    ----------
    open_it : callable
        Opens it; a module's function, a method, or a ``functools.partial`` of one.
    """

    def __init__(self, open_it: Callable[[], T]) -> None:
        self._open, self.closed = open_it, False
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._found: T | None = None
        self._pid = os.getpid()

    def get(self) -> T:
        """This process's own.

        Raises
        ------
        ClosedError
            After :meth:`close`.
        Exception
            What ``open_it`` raises.
        """
        if self._found is not None and self._pid == os.getpid():
            return self._found
        if self._pid != os.getpid():
            # A fork may have come while another thread held the lock, be it for the very first opening; what
            # the parent has open stays its own.
            self._reset()
        with self._lock:
            if self.closed:
                raise ClosedError("it has been closed: open another one")
            if self._found is None:
                self._found = self._open()
            return self._found

    def close(self) -> None:
        """Close what this process has open, for good; what a parent has open is left alone. Idempotent."""
        self.closed = True
        found, self._found = self._found, None
        if found is not None and self._pid == os.getpid():
            with contextlib.suppress(OSError):
                found.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_open": self._open, "closed": self.closed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()
