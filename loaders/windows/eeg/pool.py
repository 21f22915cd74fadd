"""Many recordings at a time: processes that build, and what became of each."""

from __future__ import annotations

import contextlib
import errno
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from loaders.windows.eeg import flags
from loaders.windows.eeg.one import Job
from recorder.errors import CacheBuildError, FlightrecError

Outcome = tuple[Job, int | Exception]
"""A job, and the number of its windows or why there are none."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def run(jobs: Sequence[Job], work: Callable[[Job], int], workers: int | None) -> Iterator[Outcome]:
    """Do the jobs, by as many processes as there are cores; outcomes in the order in which they come.

    Parameters
    ----------
    work : callable
        A function of a module.
    workers : int or None
        Processes; 1: none but this one.

    Raises
    ------
    CacheBuildError
        The disk is full, or a process died; what is finished stays.
    """
    count = min(len(jobs), workers or _cores())
    outcomes = _here(jobs, work) if count <= 1 else _in_processes(jobs, work, count)
    for job, outcome in flags.progress(outcomes, len(jobs), "windows"):
        if isinstance(outcome, OSError) and outcome.errno in _FULL:
            raise CacheBuildError(f"{job.edf}: {outcome}") from outcome
        yield job, outcome


def describe(error: BaseException) -> str:
    """What was wrong, in a line."""
    text = " ".join(str(error).split())
    if isinstance(error, FlightrecError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _here(jobs: Sequence[Job], work: Callable[[Job], int]) -> Iterator[Outcome]:
    for job in jobs:
        try:
            yield job, work(job)
        except Exception as error:
            yield job, error


def _in_processes(jobs: Sequence[Job], work: Callable[[Job], int], count: int) -> Iterator[Outcome]:
    rest = iter(jobs)
    pool = ProcessPoolExecutor(count, initializer=_begin)
    try:
        # No more of them than are soon wanted: thousands of files wait as paths.
        waiting: dict[Future[int], Job] = {
            pool.submit(work, job): job for job in itertools.islice(rest, 2 * count)
        }
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                job = waiting.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    raise CacheBuildError(
                        f"a process that built windows died ({job.edf} or one beside it), as "
                        "those do that the kernel ends for want of memory; what is finished "
                        "stays: go on with fewer workers"
                    ) from error
                for following in itertools.islice(rest, 1):
                    waiting[pool.submit(work, following)] = following
                if isinstance(error, Exception):
                    yield job, error
                elif error is not None:
                    raise error
                else:
                    yield job, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    # Ctrl-C is the business of the process that was started by hand.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """A killed parent tells nobody, and its processes would wait for work for ever."""
    with contextlib.suppress(OSError):
        multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
