"""Windows of a cache as float32 tensors, several at a time."""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from recorder.h5.reading.together import together
from recorder.h5.windows.reading import WindowFile

LARGE = 1 << 17
"""Values of a window from which each is read and converted by itself, by way of memory that is used again."""
AHEAD = 8
"""Large windows that the system is told of before they are read."""
ROOMS, ROOM_BYTES = 2, 1 << 28
"""Pieces of memory that a thread keeps for calls to come, and the largest of them."""
_PIECE = 32_767
"""Values that torch converts on the calling thread. More of them it shares out to threads, which wait for
each other longer than that takes where other processes use the cores as well."""
_threads = threading.local()


def load(file: WindowFile, rows: Sequence[int]) -> Sequence[torch.Tensor]:
    """Rows as float32 tensors ``(channels, samples)``, in their order; they share one piece of memory.

    Why: pages that are given back to the system and asked for again cost more than what is done here. So the
    piece serves again when nothing refers to it.

    Raises
    ------
    IndexError, DamagedError, ReadError, ClosedError
        As :meth:`WindowFile.read`.
    """
    window = file.shape[1:]
    large = math.prod(window) >= LARGE
    if large:
        file.expect(rows[:AHEAD])
    if not large and file.dtype == np.float32 and file.dtype.isnative:
        return list(torch.from_numpy(file.read(rows)))
    out = _room((len(rows), *window))
    if len(rows) > 1 and file.filtered and get_worker_info() is None:
        # To inflate is worth threads. Of a DataLoader's workers there are as many as somebody thought fit.
        together(lambda n: _convert(file.read(rows[n : n + 1]), out[n]), range(len(rows)))
    elif not large:
        _convert(file.read(rows), out)
    else:
        direct = file.dtype == out.dtype and file.dtype.isnative
        for number in range(len(rows)):
            file.expect(rows[number + AHEAD : number + AHEAD + 1])
            place = out[number : number + 1] if direct else _scratch(window, file.dtype)
            file.read(rows[number : number + 1], place)
            if not direct:
                _convert(place, out[number])
    return list(torch.from_numpy(out))


def _room(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Memory for windows: that of a call before, once nothing refers to it any more."""
    kept: deque[NDArray[np.float32]] = _threads.__dict__.setdefault("rooms", deque(maxlen=ROOMS))
    for number in range(len(kept)):
        # Tensors refer to the array that they were made of. Here the queue does, and the call.
        if kept[number].shape == shape and sys.getrefcount(kept[number]) == 2:
            return kept[number]
    room = np.empty(shape, np.float32)
    if room.nbytes <= ROOM_BYTES:
        kept.append(room)
    return room


def _scratch(window: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Memory for one window as it is stored, this thread's own; it stays in a core's cache."""
    kept: NDArray[Any] | None = getattr(_threads, "scratch", None)
    if kept is None or kept.shape[1:] != window or kept.dtype != dtype:
        kept = _threads.scratch = np.empty((1, *window), dtype)
    return kept


def _convert(stored: NDArray[Any], out: NDArray[np.float32]) -> None:
    """Through torch, whose conversion is ten times as fast as NumPy's."""
    if not stored.dtype.isnative:
        stored = stored.astype(stored.dtype.newbyteorder("="))
    source, target = torch.from_numpy(stored).view(-1), torch.from_numpy(out).view(-1)
    for given, made in zip(source.split(_PIECE), target.split(_PIECE), strict=True):  # type: ignore[no-untyped-call]
        made.copy_(given)
