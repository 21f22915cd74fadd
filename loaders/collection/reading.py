"""Rows of many recordings, read by this process or by several, in the order in which they come.

The processes are started anew and are told paths: they neither inherit what this one has open, nor import its
main module, so a script needs no guard against being run again. One that dies takes no other recording along.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from loaders.collection.facts import died

Row = dict[str, Any]
Outcome = tuple[Path, Row | None]
"""A recording's file and its row; None where the file is gone."""

_BATCH = 64
_FIRST = 128
"""Recordings read here before it is known how long all would take."""
_WORTH = 1.5
"""Seconds of work that are worth a process, which takes more than half of one to start."""
_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1])\n"
    "from loaders.collection.worker import main; main()"
)


def read_rows(files: Sequence[Path], facts: Callable[[Path], Row], workers: int | None) -> Generator[Outcome]:
    """The row of each.

    Parameters
    ----------
    facts : callable
        What reads one in this process; others use :func:`loaders.collection.facts.facts_of`.
    workers : int or None
        Processes; 1: none but this one. None: as many as this one may use cores, if there is work for them.

    Raises
    ------
    Exception
        What went wrong that is not the recording's fault, with a note that says where.
    """
    first = len(files) if workers == 1 else _FIRST if workers is None else 0
    start = time.perf_counter()
    yield from _here(files[:first], facts)
    rest = files[first:]
    if not rest:
        return
    if workers is None:
        expected = (time.perf_counter() - start) / first * len(rest)
        workers = min(_cores(), int(expected / _WORTH))
    workers = min(workers, -(-len(rest) // _BATCH))
    if workers > 1:
        yield from _Team(rest, facts, workers).outcomes()
    else:
        yield from _here(rest, facts)


def _here(files: Sequence[Path], facts: Callable[[Path], Row]) -> Iterator[Outcome]:
    for file in files:
        try:
            yield file, facts(file)
        except FileNotFoundError:
            yield file, None
        except Exception as error:
            error.add_note(f"while {file} was read")
            raise


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Team:
    """Processes, and a thread for each that gives it batches of paths until there are none left."""

    def __init__(self, files: Sequence[Path], facts: Callable[[Path], Row], count: int) -> None:
        self._facts = facts
        self._todo = deque(files[i : i + _BATCH] for i in range(0, len(files), _BATCH))
        # What has been read and not been fetched stays little.
        self._done: queue.Queue[Any] = queue.Queue(4 * count)
        self._stopped = threading.Event()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]

    def outcomes(self) -> Iterator[Outcome]:
        """All of them."""
        try:
            for thread in self._threads:
                thread.start()
            working = len(self._threads)
            while working:
                found = self._done.get()
                if found is None:
                    working -= 1
                elif isinstance(found, BaseException):
                    raise found
                else:
                    yield from found
            # Where no process could be started, or none but dead ones.
            while self._todo:
                yield from _here(self._todo.popleft(), self._facts)
        finally:
            self._stopped.set()
            with self._lock:
                for process in self._processes:
                    process.kill()
            while any(thread.is_alive() for thread in self._threads):
                with contextlib.suppress(queue.Empty):
                    self._done.get(timeout=0.01)

    def _serve(self) -> None:
        process: subprocess.Popen[bytes] | None = None
        try:
            while not self._stopped.is_set():
                try:
                    batch = self._todo.popleft()
                except IndexError:
                    break
                if process is None:
                    process = self._start()
                    if process is None:
                        self._todo.append(batch)
                        break
                found = _asked(process, batch)
                if found is None and not self._stopped.is_set():
                    found = self._after_death(_buried(process), batch)
                    process = None
                if found:
                    self._done.put(found)
        except BaseException as error:
            self._done.put(error)
        finally:
            if process is not None:
                _buried(process)
            self._done.put(None)

    def _after_death(self, code: int, batch: Sequence[Path]) -> list[Outcome]:
        """One of these ended the process: each is tried by itself."""
        if len(batch) > 1:
            self._todo.extendleft([file] for file in batch)
            return []
        try:
            return [(batch[0], died(batch[0], code))]
        except FileNotFoundError:
            return [(batch[0], None)]

    def _start(self) -> subprocess.Popen[bytes] | None:
        """A process that has said that it is there; None if it does not come up."""
        if getattr(sys, "frozen", False):
            return None  # a program of somebody's, which would be started again
        with contextlib.suppress(OSError, ValueError):
            places = json.dumps([str(Path(place).absolute()) for place in sys.path])
            process = subprocess.Popen(
                [
                    sys.executable or "",
                    "-c",
                    _BEGIN,
                    places,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is the business of this process
            )
            with self._lock:
                self._processes.append(process)
                if self._stopped.is_set():
                    process.kill()
            if _asked(process, []) == []:
                return process
            _buried(process)
        return None


def _asked(process: subprocess.Popen[bytes], batch: Sequence[Path]) -> list[Outcome] | None:
    """What a process makes of a batch; None if it is dead."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump(list(batch), process.stdin)
        process.stdin.flush()
        found = pickle.load(process.stdout)
    except (OSError, EOFError, pickle.UnpicklingError):
        return None
    if isinstance(found, BaseException):
        raise found
    return list(found)


def _buried(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process that has no more to do."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    return process.wait()
