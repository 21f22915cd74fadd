"""A call in a forked process with little memory and little time, whatever becomes of that process."""

from __future__ import annotations

import os
import pickle
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEMORY = 1 << 30
"""Bytes of address space that a call may add."""
CPU_SECONDS = 60


def sandboxed(call: Callable[[], Any], output: Path) -> tuple[str, Any]:
    """``("done", what the call returned)``, or ``("died", why)``; ``output`` gets what it printed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _run(call, write, output)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "died", signal.Signals(os.WTERMSIG(status)).name
    if os.WEXITSTATUS(status):
        return "died", output.read_text("utf-8", "replace")[-2000:]
    return "done", pickle.loads(data)


def _run(call: Callable[[], Any], write: int, output: Path) -> None:
    code = 1
    try:
        sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        space = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        data = pickle.dumps(call())
        with os.fdopen(write, "wb") as pipe:
            pipe.write(data)
        code = 0
    except BaseException:
        import traceback

        os.write(2, traceback.format_exc().encode("utf-8", "replace"))
    finally:
        os._exit(code)
