"""The compiled encoders, where they were built: ``native/*.c``; everybody else's are in Python, beside them.

The environment variable ``FLIGHTREC_HOT_PATH`` chooses for all that is compiled: ``python``, ``compiled`` (an
ImportError where it was not built), or ``auto``, which is the default. Recordings do not depend on it: their
chunks hold the same rows, in streams of other bytes.
"""

from __future__ import annotations

import os
from types import ModuleType

AUTO, COMPILED, PYTHON = "auto", "compiled", "python"
VARIABLE = "FLIGHTREC_HOT_PATH"
INTERFACE = 2
"""What ``native/module.c`` calls itself; another number is a build that was left behind by other sources."""
_MOST_THREADS = 4


def wanted() -> str:
    """What the environment asks for.

    Raises
    ------
    ImportError
        Something that there is not.
    """
    choice = os.environ.get(VARIABLE, AUTO)
    if choice not in (AUTO, COMPILED, PYTHON):
        raise ImportError(f"{VARIABLE} is {choice!r}, and not one of {AUTO!r}, {COMPILED!r} or {PYTHON!r}")
    return choice


def load(choice: str) -> ModuleType | None:
    """The compiled module; None where there is none, or Python is chosen.

    Raises
    ------
    ImportError
        ``compiled`` is chosen, and there is none.
    """
    if choice == PYTHON:
        return None
    try:
        from recorder.format import _native

        if _native.INTERFACE != INTERFACE:
            raise ImportError("recorder.format._native was built from other sources; build it again")
    except (ImportError, RuntimeError) as error:  # the latter is NumPy's, of a build for another NumPy
        if choice == COMPILED:
            raise ImportError(f"{VARIABLE} is {COMPILED!r}: {error}") from error
        return None
    return _native


def spare_processors() -> int:
    """Processors that this process may use besides the one it logs on; a few are as many as can be fed."""
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:
        usable = os.cpu_count() or 1
    return min(_MOST_THREADS, usable - 1)


CHOICE = wanted()
MODULE: ModuleType | None = load(CHOICE)
THREADS = spare_processors()
"""How many threads encode beside the one that logs; 0 has every chunk encoded where it is asked for."""
