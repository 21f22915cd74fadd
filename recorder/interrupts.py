"""Signals kept waiting while a block is written on the caller's thread."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Have Python's signal handlers run after the block, so that Ctrl-C cannot cut it in half.

    Handlers run on the main thread alone; on any other there is nothing to defer. Handlers that are
    not Python's (the default action, those of other libraries) are left as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def later(number: int, _: Any) -> None:
        came.append(number)

    handlers = {s: h for s in signal.valid_signals() if callable(h := signal.getsignal(s))}
    try:
        for which in handlers:
            signal.signal(which, later)
        yield
    finally:
        for which, handler in handlers.items():
            signal.signal(which, handler)
        for number in came:
            # This frame: the interrupted one has returned by now, and leads nowhere.
            handlers[signal.Signals(number)](number, sys._getframe())
