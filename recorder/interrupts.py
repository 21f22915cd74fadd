"""Signals that come while a block is at work on the caller's thread: kept waiting, or not forgotten."""

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


@contextlib.contextmanager
def remembered() -> Iterator[Callable[[], None]]:
    """Have what Python's signal handlers raise leave the block, wherever in it they run.

    Python forgets what is raised in a finalizer or the callback of a weak reference, of which h5py has one
    for each object, and HDF5 tells of what is raised in a read as of a damaged file. What the block is given
    raises what was forgotten: a long block calls it before what cannot be undone. So does the block's end.
    Handlers run on the main thread alone; on any other there is nothing to remember.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    came: list[BaseException] = []

    def noted(number: int, frame: Any) -> None:
        try:
            handlers[number](number, frame)
        except BaseException as error:
            came.append(error)
            raise

    def due() -> None:
        if came:
            raise came[0]

    handlers = {number: h for number in _ALL if callable(h := _signal.getsignal(number))}
    try:
        for which in handlers:
            _signal.signal(which, noted)
        try:
            yield due
        except Exception as error:
            if came and error is not came[0]:
                raise came[0] from error
            raise
        due()
    finally:
        raised = _put_back(handlers)
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
