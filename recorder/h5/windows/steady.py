"""Looking at a file to which another process may be adding: once more where it did so meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from recorder.errors import ReadError
from recorder.h5.reading.perprocess import Closable
from recorder.h5.store.session import Session
from recorder.h5.store.state import State, quiet_state, state_of

PATIENCE = 60.0
"""Seconds to wait for another process's change, which takes milliseconds."""
_ATTEMPTS = 40
_PAUSE = 0.005


T = TypeVar("T", bound=Closable)


def open_steadily(path: Path, open_it: Callable[[], T]) -> T:
    """What ``open_it`` opens, from one state of the file; a change that was killed is completed first.

    Raises
    ------
    FileNotFoundError
    ReadError
        A killed change waits to be completed, and the folder cannot be written.
    Exception
        What ``open_it`` raises of a file that nobody changes.
    """
    for attempt in range(_ATTEMPTS):
        state = quiet_state(path)
        if state.left:
            _complete(path)
            state = quiet_state(path)
        try:
            found = open_it()
        except Exception:
            if attempt + 1 == _ATTEMPTS or _same(state, state_of(path)):
                raise
        else:
            if attempt + 1 == _ATTEMPTS or _same(state, state_of(path)):
                return found
            found.close()
        time.sleep(_PAUSE)
    raise AssertionError


def _same(before: State, after: State) -> bool:
    # What is appended behind the end changes size and time as well, and hurts nobody.
    if before.count is None or after.count is None:
        return before == after
    return before.count == after.count


def _complete(path: Path) -> None:
    session = Session(path, patience=PATIENCE, reaching=False, sync=False)
    try:
        with session.turn():
            pass
    except PermissionError as error:
        raise ReadError(
            f"{path}: a process was killed while it added to this cache; open it once where its folder can "
            "be written"
        ) from error
    finally:
        session.close()
