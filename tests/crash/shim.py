"""The preload shim of ``syscalls.c``: built once, and set from Python."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


class NoCompilerError(RuntimeError):
    """Nothing here turns C into a library."""


@functools.cache
def shim() -> Path:
    """The compiled library; built the first time anybody of this user asks, and kept for the next.

    Raises
    ------
    NoCompilerError
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise NoCompilerError("file operations cannot be failed on purpose here: there is no C compiler")
    source = Path(__file__).with_name("syscalls.c")
    place = Path(tempfile.gettempdir()) / f"flightrec-shim-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    library = place / f"{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.so"
    if not library.exists():
        draft = library.with_suffix(f".{os.getpid()}")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(draft), str(source), "-ldl", "-lpthread"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise NoCompilerError(f"{compiler} does not build {source.name}: {done.stderr}")
        draft.replace(library)
    return library


def environment() -> dict[str, str]:
    """The environment of a process that has the shim before its C library."""
    return {**os.environ, "LD_PRELOAD": str(shim()), "PYTHONPATH": str(Path(__file__).parents[2])}


def configure(
    folder: str = "",
    *,
    kill_after: int = 0,
    fail_from: int = 0,
    fail_count: int = 0,
    error: int = 0,
    short: int = 0,
) -> None:
    """Watch a folder, in a process that has the shim; without arguments, nothing is watched any more.

    Parameters
    ----------
    kill_after, fail_from, fail_count : int
        The operation after which the process dies, the first that fails, how many fail; 0 is never,
        never, and all from there on.
    error : int
        What they fail with.
    short : int
        A write that is the first to fail stores half of its bytes and says so. 1: the next operation fails,
        as on a disk that is filling up; 2: all is well again.
    """
    library = ctypes.CDLL(None)
    library.syscalls_short(short)
    library.syscalls_configure(
        folder.encode(),
        ctypes.c_long(kill_after),
        ctypes.c_long(fail_from),
        ctypes.c_long(fail_count),
        error,
        None,
    )


def operations() -> int:
    """Operations that changed the watched folder so far."""
    library = ctypes.CDLL(None)
    library.syscalls_done.restype = ctypes.c_long
    return int(library.syscalls_done())
