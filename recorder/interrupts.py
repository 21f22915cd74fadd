"""Signals kept waiting while a block is written on the caller's thread."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal itself makes enums of sixty numbers at each look
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

_ALL = tuple(_signal.valid_signals())


@contextlib.contextmanager
def deferred() -> Iterator[Callable[[], None]]:
    """Have Python's signal handlers run after the block, so that Ctrl-C cannot cut it in half.

    A long block calls what it is given wherever it may end: there handlers run of signals that came.
    Handlers run on the main thread alone; on any other there is nothing to defer. Handlers that are
    not Python's (the default action, those of other libraries) are left as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    came: list[int] = []

    def later(number: int, _: Any) -> None:
        came.append(number)

    def due() -> None:
        while came:
            number = came.pop(0)
            handlers[number](number, sys._getframe(1))

    handlers = {number: h for number in _ALL if callable(h := _signal.getsignal(number))}
    try:
        for which in handlers:
            _signal.signal(which, later)
        yield due
    finally:
        raised = _put_back(handlers)
        for number in came:
            try:
                # This frame: the interrupted one has returned by now, and leads nowhere.
                handlers[number](number, sys._getframe())
            except BaseException as error:
                raised = raised or error
        if raised is not None:
            raise raised


def _nothing() -> None:
    pass


def _put_back(handlers: dict[int, Any]) -> BaseException | None:
    """Every handler in its place, although one may run, and raise, as soon as it is in its own."""
    raised: BaseException | None = None
    waiting = dict(handlers)
    while waiting:
        try:
            for number, handler in handlers.items():
                if number in waiting:
                    _signal.signal(number, handler)
                    del waiting[number]
        except BaseException as error:
            raised = raised or error
    return raised
