"""Libraries of other worlds, imported where they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from recorder.errors import MissingExtraError


def library(name: str, extra: str, needs: str = "") -> Any:
    """The module of that name, which may be one of ours that imports ``needs``.

    Raises
    ------
    MissingExtraError
        It is not installed; the message names the extra of flightrec that brings it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = (needs or name).partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != missing:
            raise
        raise MissingExtraError(
            f'this needs {missing}: python -m pip install "flightrec[{extra}]"', name=missing
        ) from error
