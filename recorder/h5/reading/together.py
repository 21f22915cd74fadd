"""One list of work, done by several threads, the calling one among them."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from threading import Thread
from typing import TypeVar

T = TypeVar("T")

_MAX_THREADS = 8


def together(work: Callable[[T], None], items: Sequence[T]) -> None:
    """Call ``work`` with every item; returns once all is done.

    The threads live no longer than the call: whoever forks afterwards has none of them. After an
    exception nothing more is begun, and that of the earliest item is raised.
    """
    waiting = deque(enumerate(items))
    failed: list[tuple[int, BaseException]] = []

    def drain() -> None:
        while waiting:
            try:
                number, item = waiting.popleft()
            except IndexError:
                return
            try:
                work(item)
            except BaseException as error:
                waiting.clear()
                failed.append((number, error))

    threads = [Thread(target=drain, daemon=True) for _ in range(min(usable_cores(), len(items)) - 1)]
    started = []
    try:
        for thread in threads:
            # No thread can be had while the interpreter ends, or beyond the system's limit: then fewer do it.
            with contextlib.suppress(RuntimeError):
                thread.start()
                started.append(thread)
        drain()
    finally:
        waiting.clear()
        for thread in started:
            thread.join()
    if failed:
        raise min(failed, key=lambda one: one[0])[1]


def usable_cores() -> int:
    """Threads that are worth having, at most eight."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MAX_THREADS, usable)
