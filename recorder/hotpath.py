"""Which code is the body of ``log()``: the compiled module where it was built, else generated Python.

Both do the same (the tests run against both), so a recording does not depend on it; neither does it on
whether headers are sealed by compiled code (``h5/seal.py``), which goes with this. The environment
variable ``FLIGHTREC_HOT_PATH`` chooses: ``python``, ``compiled`` (an ImportError where it was not built), or
``auto``, which is the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from recorder import rowcode
from recorder.rowcode import LogFunction

AUTO, COMPILED, PYTHON = "auto", "compiled", "python"
VARIABLE = "FLIGHTREC_HOT_PATH"
INTERFACE = 1
"""What ``_hotpath.c`` calls itself; another number is a build that was left behind by other sources."""


def choose(wanted: str) -> tuple[str, Callable[..., LogFunction]]:
    """The path's name and its ``generate``; see :func:`recorder.rowcode.generate`.

    Raises
    ------
    ImportError
        ``"compiled"`` where it was not built, or a path that there is not.
    """
    if wanted not in (AUTO, COMPILED, PYTHON):
        raise ImportError(f"{VARIABLE} is {wanted!r}, and not one of {AUTO!r}, {COMPILED!r} or {PYTHON!r}")
    if wanted != PYTHON:
        try:
            return COMPILED, _compiled()
        except ImportError:
            if wanted == COMPILED:
                raise
    return PYTHON, rowcode.generate


def _compiled() -> Callable[..., LogFunction]:
    try:
        from recorder import _hotpath
    except RuntimeError as error:  # what NumPy says of a module that was built for another NumPy
        raise ImportError(str(error)) from error
    if _hotpath.INTERFACE != INTERFACE:
        raise ImportError("recorder._hotpath was built from other sources; build it again")
    from recorder.compiled import generate

    return generate


HOT_PATH, generate = choose(os.environ.get(VARIABLE, AUTO))
