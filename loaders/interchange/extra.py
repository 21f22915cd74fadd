"""Libraries of other worlds, imported where they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def library(name: str, extra: str) -> Any:
    """The module of that name.

    Raises
    ------
    ImportError
        It is not installed; the message names the extra of flightrec that brings it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise ImportError(
            f'this needs {name.partition(".")[0]}: python -m pip install "flightrec[{extra}]"', name=name
        ) from error
