"""Verifying in a process of its own, so that a file which crashes or hangs HDF5 ends that process alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import fields
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from recorder.errors import ReadError
from recorder.h5.lock import is_held
from recorder.h5.verify import verify
from recorder.h5.verify.finding import Finding, Tally

STILL = 600.0
"""Seconds without a sign of life after which the process is given up: no chunk takes nearly so long."""
_ATTEMPTS = 3
_OFTEN = 0.1
"""Seconds between signs of life."""


def verify_apart(
    path: Path, progress: Callable[[int, int], None] | None = None, tally: Tally | None = None
) -> Iterator[Finding]:
    """As :func:`recorder.h5.verify.verify`; that HDF5 crashes is a finding.

    But not where somebody writes the file: what HDF5 has read may be of two states of it. Then once more.

    Raises
    ------
    OSError
        The file cannot be read at all.
    ReadError
        It is no recording.
    """
    for left in range(_ATTEMPTS)[::-1]:
        crash = yield from _apart(path, progress, tally)
        if not crash:
            return
        if not left or not is_held(path):
            yield Finding("/", f"HDF5 {crash} on what is damaged here; the rest was not checked")
            return


def _apart(
    path: Path, progress: Callable[[int, int], None] | None, tally: Tally | None
) -> Generator[Finding, None, str]:
    """One process; returns how it ended before it was through."""
    receiver, sender = Pipe(duplex=False)
    child = os.fork()
    if not child:
        receiver.close()
        _verify(path, sender)
    sender.close()
    ended = hung = False
    try:
        while not ended:
            hung = not receiver.poll(STILL)
            if hung:
                break
            kind, what = receiver.recv()
            if kind == "finding":
                yield what
            elif kind == "error":
                raise what
            elif kind == "progress" and progress is not None:
                progress(*what)
            elif kind == "end":
                ended = True
                for field in fields(Tally) if tally is not None else ():
                    setattr(tally, field.name, getattr(what, field.name))
    except EOFError:
        pass
    finally:
        receiver.close()
        if hung or not ended:
            os.kill(child, signal.SIGKILL if hung else signal.SIGTERM)
        _, status = os.waitpid(child, 0)
    return "" if ended else _how(hung, status)


def _how(hung: bool, status: int) -> str:
    if hung:
        return "hangs"
    return f"crashes ({signal.Signals(os.WTERMSIG(status)).name})" if os.WIFSIGNALED(status) else "gives up"


def _verify(path: Path, sender: Connection) -> None:
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if done == total or time.monotonic() > told + _OFTEN:
            told = time.monotonic()
            sender.send(("progress", (done, total)))

    try:
        tally = Tally()
        for finding in verify(path, progress, tally):
            sender.send(("finding", finding))
        sender.send(("end", tally))
    except (OSError, ReadError) as error:
        sender.send(("error", error))
    finally:
        os._exit(0)
