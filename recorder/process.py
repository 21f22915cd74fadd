"""What becomes of open recordings when their process forks, is asked to end, or ends.

Decision 10 of the format says why SIGTERM and SIGHUP are caught, and when they are not.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import signal
import sys
import threading
import warnings
import weakref
from _thread import start_new_thread
from pathlib import Path
from types import FrameType
from typing import Protocol

from recorder.rowcode import GENERATED

logger = logging.getLogger("recorder")

ASKED_TO_END = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a process by default, and leave it the time to end its recordings."""
AT_EXIT = "interpreter exit"
COLLECTED = "garbage collection"
"""Of a recording that was neither closed nor referred to any more."""
_HERE = str(Path(__file__).parent) + os.sep
_COMMANDS = (f"{_HERE}command{os.sep}", f"{_HERE}cli.py", f"{_HERE}__main__.py")
"""Programs that record, as any user's do."""
_AGAIN = 0.001
"""Seconds until a signal is sent again that came where nothing could be closed."""
_SWITCH = 1e-4
"""Seconds a thread may keep the interpreter to itself once the process has been asked to end."""


class OpenRecording(Protocol):
    """What is kept track of here."""

    h5_path: Path

    def end_early(self, ended_by: str) -> None:
        """End the episode and the recording as interrupted, and log what goes wrong in that."""

    def in_the_middle(self) -> bool:
        """Whether something is under way that :meth:`end_early`, called here, would wait for."""

    def hold(self) -> None:
        """Before a fork: wait until the file is whole, and leave it so."""

    def go_on(self) -> None:
        """After a fork, in parent and child: what :meth:`hold` held back may go on."""

    def disown(self) -> None:
        """In a forked child: touch nothing of the parent's recording, ever."""


_open: weakref.WeakSet[OpenRecording] = weakref.WeakSet()
_parts: dict[int, tuple[object, ...]] = {}
"""What each one's end needs: were it to die with the recording, its finalizers might come before ours."""
_left: list[OpenRecording] = []
"""Those that a thread of ours is about to end, because nobody else can."""
_ending = threading.Lock()
"""Held by who ends them."""
_held: list[OpenRecording] = []
"""Recordings whose writers rest while a fork is made."""


def opened(recording: OpenRecording, *parts: object) -> None:
    """Look after this recording from now on, and keep what its end needs: nothing that refers to it."""
    _listen()
    _parts[id(recording)] = parts
    _open.add(recording)
    if threading.current_thread() is threading.main_thread():
        for number in ASKED_TO_END:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end_all)


def closed(recording: OpenRecording) -> None:
    """Look after it no longer."""
    _open.discard(recording)
    _parts.pop(id(recording), None)
    if not _open:
        _stop_catching()


def collected(recording: OpenRecording) -> None:
    """From its finalizer: end it all the same, though not here, where any lock may be held by this thread."""
    _left.append(recording)
    # threading.Thread takes a lock of its module, which the collector may have interrupted.
    start_new_thread(_end_left, ())
    # Last: where warnings are errors, it raises.
    warnings.warn(
        f"{recording.h5_path} was never closed: it is ended as interrupted; use `with`, or call close()",
        ResourceWarning,
        source=recording,
        stacklevel=2,
    )


def _end_left() -> None:
    with _ending:
        while _left:
            _left[0].end_early(COLLECTED)
            del _left[0]


def _stop_catching() -> None:
    # Only the main thread may; a handler that stays finds nothing to close, and does what the default does.
    if threading.current_thread() is threading.main_thread():
        for number in ASKED_TO_END:
            if signal.getsignal(number) is _end_all:
                signal.signal(number, signal.SIG_DFL)


def _end_all(number: int, frame: FrameType | None) -> None:
    recordings = list(_open)
    # Else a thread that logs keeps the interpreter for 5 ms whenever this one, or the timer's, waits for it.
    sys.setswitchinterval(_SWITCH)
    if _is_within(frame) or _ending.locked() or any(recording.in_the_middle() for recording in recordings):
        again = threading.Timer(_AGAIN, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return
    _end_left()
    for recording in recordings:
        recording.end_early(signal.Signals(number).name)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _is_within(frame: FrameType | None) -> bool:
    """Whether the signal came within a call of ours on this thread; those of other threads can be awaited.

    That they are under way says nothing: a thread that logs all the time is within one whenever it is asked.
    """
    while frame is not None:
        name = frame.f_code.co_filename
        if name == GENERATED or (name.startswith(_HERE) and not name.startswith(_COMMANDS)):
            return True
        frame = frame.f_back
    return False


def _at_exit() -> None:
    # A traceback that the interpreter printed is what ended the program, unless it goes on asking for more.
    error = None if hasattr(sys, "ps1") else getattr(sys, "last_type", None)
    _end_left()
    for recording in list(_open):
        recording.end_early(AT_EXIT if error is None else error.__name__)


def _before_fork() -> None:
    for recording in {*_open, *_left}:
        recording.hold()
        _held.append(recording)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().go_on()


def _after_fork_in_child() -> None:
    for recording in _held:
        recording.disown()
    global _ending  # noqa: PLW0603 - the thread that may have it is the parent's
    _ending = threading.Lock()
    _open.clear()
    _left.clear()
    _stop_catching()
    _after_fork_in_parent()


@functools.cache
def _listen() -> None:
    # With the first recording: a fork then waits for our writers before it takes h5py's lock; they need it.
    atexit.register(_at_exit)
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
