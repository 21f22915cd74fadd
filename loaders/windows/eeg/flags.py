"""The ``BGB_*`` variables, read when they are used; and the lines that users are told to expect."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

from recorder.errors import OptionError

FORCE_REBUILD, SMOKE_TEST = "BGB_FORCE_MANIFEST_REBUILD", "BGB_SMOKE_TEST"
LIMIT_FILES, DISABLE_TQDM = "BGB_LIMIT_FILES", "BGB_DISABLE_TQDM"
SMOKE_FILES = 3

T = TypeVar("T")


def is_on(name: str) -> bool:
    """Whether a flag is set: exactly ``1`` counts."""
    return os.environ.get(name) == "1"


def file_limit() -> int | None:
    """How many training files there may be: 3 in a smoke test, else ``BGB_LIMIT_FILES``; None for all.

    Raises
    ------
    OptionError
        ``BGB_LIMIT_FILES`` is no number above 0.
    """
    if is_on(SMOKE_TEST):
        return SMOKE_FILES
    text = os.environ.get(LIMIT_FILES, "")
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise OptionError(f"{LIMIT_FILES} is a number of files, 1 or more, not {text!r}")
    return int(text)


def validation_limit(limit: int) -> int:
    """How many validation files go with so many for training."""
    return max(1, limit // 5)


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, with a bar where they take longer than a second."""
    from tqdm import tqdm

    disabled = is_on(DISABLE_TQDM) or None
    yield from tqdm(
        items, total=total, desc=what, unit="file", delay=1.0, dynamic_ncols=True, disable=disabled
    )


def say(line: str) -> None:
    """Print a line that is to be seen at once."""
    print(line, flush=True)
