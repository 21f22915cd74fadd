"""The JSON files beside a recording, for the eye; what counts is in the HDF5 file."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

logger = logging.getLogger("recorder")

_MOST_ELEMENTS = 1000


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON; types JSON lacks become what reads best.

    Never fails on a value. A file that cannot be written is a logged warning: the recording itself
    has the value already.
    """
    text = json.dumps(readable(value), indent=2, ensure_ascii=False, default=str)
    try:
        path.write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        logger.warning("Could not write %s: %s", path, error)


def readable(value: Any) -> Any:
    """``value`` in JSON's own types; arrays of more than 1000 elements become their description."""
    if isinstance(value, Mapping):
        return {str(key): readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [readable(item) for item in value]
    if isinstance(value, np.ndarray):
        if value.size > _MOST_ELEMENTS:
            return f"array of {value.dtype} with shape {value.shape}"
        return readable(value.tolist())
    if isinstance(value, np.generic):
        return readable(value.item()) if not isinstance(value.item(), np.generic) else str(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
