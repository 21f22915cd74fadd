"""The inverse of HDF5's shuffle: byte planes back into values, compiled where that was built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format import native

Unshuffle = Callable[[Any, int, int, Any], None]


def by_numpy(planes: Any, width: int, first: int, rows: NDArray[np.uint8]) -> None:
    """Fill ``rows``, uint8 ``(values * width,)``, with the values from number ``first`` on.

    Parameters
    ----------
    planes : buffer of bytes
        All first bytes, then all second bytes, and so on.
    width : int
        Bytes of a value.
    """
    # Plane by plane: several times faster than a transpose.
    stored = np.frombuffer(planes, np.uint8).reshape(width, -1)
    cells = rows.reshape(-1, width)
    for plane in range(width):
        cells[:, plane] = stored[plane, first : first + len(cells)]


def compiled() -> Unshuffle | None:
    """The same without Python's lock; None where it was not built, or Python is chosen."""
    if native.CHOICE == native.PYTHON:
        return None
    try:
        from recorder.format import _unshuffle
    except ImportError:
        return None
    return _unshuffle.unshuffle


unshuffle: Unshuffle = compiled() or by_numpy
