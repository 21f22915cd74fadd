"""Where the seizures of a recording are: TUSZ's ``.csv`` files, or a mask in a ``.npy``."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loaders.windows.eeg.settings import RATE, SEIZURES
from recorder.errors import DamagedError, MissingAnnotationError

_DURATION = re.compile(r"#\s*duration\s*=\s*([0-9.eE+-]+)")
_HEADER = ("channel", "start_time", "stop_time", "label")
_log = logging.getLogger(__name__)

Event = tuple[float, float, str]
"""Start and stop in seconds, and the label."""


def parse_tusz_csv(path: str | os.PathLike[str]) -> tuple[float, list[Event]]:
    """The duration and the events of an annotation file, those of all channels together.

    Returns
    -------
    tuple of float and list
        Seconds as the line ``# duration = 300.00 secs`` says, 0.0 where there is none; and
        ``(start, stop, label)`` in seconds, in the order of the file. Lines that are no event are skipped,
        and counted in a warning of the log.

    Raises
    ------
    MissingAnnotationError
        There is no such file.
    """
    duration, events, skipped, _ = _parse(Path(path))
    if skipped:
        _log.warning("%s: %d lines that are no annotation were skipped", path, skipped)
    return duration, events


def _parse(path: Path) -> tuple[float, list[Event], int, bool]:
    try:
        text = path.read_text("utf-8-sig", "replace")
    except FileNotFoundError as error:
        raise MissingAnnotationError(f"no annotation file {path}") from error
    duration, events, skipped, said = 0.0, [], 0, False
    for line in text.splitlines():
        found = _DURATION.match(line)
        if found:
            value = _seconds(found[1])
            duration, said = (duration, said) if value is None else (value, True)
        if line.startswith("#") or not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(",")]
        if tuple(cells[:4]) == _HEADER:
            said = True
            continue
        start, stop = (_seconds(cell) for cell in (cells[1:3] if len(cells) >= 4 else ("", "")))
        if start is None or stop is None:
            skipped += 1
            continue
        events.append((start, stop, cells[3]))
    return duration, events, skipped, said


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def seizure_mask(events: Sequence[Event], samples: int) -> NDArray[np.float32]:
    """1 where there is a seizure, else 0, for so many samples at 256 Hz; float32.

    Samples from ``int(start * 256)`` up to ``int(stop * 256)``, that one not; an event that begins before 0
    marks nothing.
    """
    mask = np.zeros(samples, np.float32)
    for start, stop, label in events:
        if label in SEIZURES and start >= 0:
            mask[int(start * RATE) : max(0, int(stop * RATE))] = 1
    return mask


def read_mask(path: Path, samples: int) -> NDArray[np.float32]:
    """The mask of a recording from its annotation file, ``.csv`` or ``.npy``.

    Raises
    ------
    MissingAnnotationError
        There is no such file.
    DamagedError
        It is empty or has nothing of an annotation, or a mask of other length or values.
    """
    if path.suffix.lower() == ".npy":
        return _stored_mask(path, samples)
    _, events, skipped, said = _parse(path)
    if not events and (skipped or not said):
        # No seizures are said by a file that says so, not by one that is empty or of another kind.
        raise DamagedError(f"{path} has no annotation, {skipped} lines that are none, and no header")
    if skipped:
        _log.warning("%s: %d lines that are no annotation were skipped", path, skipped)
    return seizure_mask(events, samples)


def _stored_mask(path: Path, samples: int) -> NDArray[np.float32]:
    try:
        mask = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise MissingAnnotationError(f"no annotation file {path}") from error
    except (OSError, ValueError, EOFError) as error:
        raise DamagedError(f"{path} is no array: {error}") from error
    if mask.shape != (samples,) or not np.isin(mask, (0, 1)).all():
        raise DamagedError(f"{path}: expected zeros and ones, ({samples},), got {mask.dtype} {mask.shape}")
    return np.asarray(mask, np.float32)
