"""Which line of the user's program called us."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

from recorder.rowcode import GENERATED

_PACKAGE = str(Path(__file__).parent) + os.sep


def own_frames() -> int:
    """The ``stacklevel`` that shows the line which called flightrec; a compiled ``log`` has no frame."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_code.co_filename.startswith((_PACKAGE, GENERATED)):
        frame, level = frame.f_back, level + 1
    return level
