"""Which code is the body of ``log()``: the compiled module where it was built, else generated Python.

Both do the same (the tests run against both), so a recording does not depend on it; neither does it on
whether headers are sealed by compiled code (``h5/seal.py``), which goes with this. The environment
variable ``FLIGHTREC_HOT_PATH`` chooses: ``python``, ``compiled`` (an ImportError where it was not built), or
``auto``, which is the default.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recorder import rowcode
from recorder.format.native import CHOICE, COMPILED, PYTHON
from recorder.rowcode import LogFunction

INTERFACE = 2
"""What ``_hotpath.c`` calls itself; another number is a build that was left behind by other sources."""


def choose(choice: str) -> tuple[str, Callable[..., LogFunction]]:
    """The path's name and its ``generate``; see :func:`recorder.rowcode.generate`.

    Raises
    ------
    ImportError
        ``"compiled"`` where it was not built.
    """
    if choice != PYTHON:
        try:
            return COMPILED, _compiled()
        except ImportError:
            if choice == COMPILED:
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


def front(log: Callable[..., None]) -> Any:
    """A function that calls ``log`` until its ``aim(function)`` says otherwise; None where none is compiled.

    A program that keeps ``exporter.log`` in a variable keeps this, and with it the newest log function.
    """
    if HOT_PATH != COMPILED:
        return None
    from recorder import _hotpath

    return _hotpath.Front(log)


HOT_PATH, generate = choose(CHOICE)
