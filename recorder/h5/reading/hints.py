"""Clocks from what attributes say of timesteps, which are then not read, or only where they are asked for.

Nobody vouches for the attributes either: the ends of the dataset are compared with them, and
``flightrec verify`` compares all of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.clock import Clock, StoredClock
from recorder.format.course import Hint
from recorder.format.layout import FIRST, SORTED, STEP
from recorder.h5.reading.budget import CREDIBLE_RATIO, check_chunk, file_size
from recorder.h5.reading.chunks import KeptChunks
from recorder.h5.reading.clocks import EvenParts, KnownTimesteps
from recorder.h5.reading.guard import attribute, damage
from recorder.h5.reading.rows import read_rows

_PLACE = 8
"""Bytes that a chunk's address takes in an index."""


def hinted_clock(dataset: Any, count: int, kept: KeptChunks, known: KnownTimesteps) -> Clock | None:
    """The clock of all ``count`` timesteps of an episode that has ended; None where nothing is said of them.

    Raises
    ------
    DamagedError
        What is said cannot be, or the first or last timesteps are others.
    """
    if dataset.chunks is None or count <= dataset.chunks[0] or dataset.dtype != np.int64:
        return None
    with damage(dataset.name):
        found = {name: attribute(dataset, name) for name in (FIRST, STEP, SORTED)}
        try:
            hint = Hint.of({name: value for name, value in found.items() if value is not None}, count)
        except DamagedError as error:
            raise DamagedError(f"{dataset.name}: {error}") from error
        if hint is None:
            return None
        check_chunk(dataset)
        _check_count(dataset, count)
        if hint.even:
            clock = hint.clock(count)
            _compare(dataset, clock, kept, known)
            return clock
        return StoredClock(count=count, read=_reader(dataset, kept), chunk=dataset.chunks[0])


def _check_count(dataset: Any, count: int) -> None:
    """Refuse more rows than there are chunks for: computed timesteps take memory that no chunk speaks for."""
    claim = count * dataset.dtype.itemsize
    if claim <= CREDIBLE_RATIO << 20 or claim <= CREDIBLE_RATIO * file_size(dataset):
        return
    rows, size = dataset.chunks[0], file_size(dataset)
    # Each chunk has its place in an index, which HDF5 walks to count them.
    if count // rows * _PLACE > size or dataset.id.get_num_chunks() * rows < count:
        raise DamagedError(f"{dataset.name}: claims {count:,} rows, of which most were never stored")


def _compare(dataset: Any, clock: Clock, kept: KeptChunks, known: KnownTimesteps) -> None:
    """Compare the first and the last chunk with a clock.

    Raises
    ------
    DamagedError
        They hold other timesteps.
    """
    rows, count, layout = dataset.chunks[0], len(clock), kept.layout(dataset)
    last = (count - 1) // rows * rows
    ends = range(0, last + 1, last)
    parts = None if layout is None else EvenParts(dataset, layout, kept, known, ends)
    for row in ends:
        if parts is None:
            # What only HDF5 can decode.
            part = Clock.even(read_rows(dataset, row, min(row + rows, count), kept=kept))
        else:
            part = parts.get(row, count)
        same = part is not None and clock.first + clock.step * row == part.first
        if part is None or not same or (part.count > 1 and part.step != clock.step):
            raise DamagedError(
                f"{dataset.name}: its attributes say that it counts from {clock.first} by {clock.step}, "
                f"and rows {row:,} to {min(row + rows, count) - 1:,} do not"
            )


def _reader(dataset: Any, kept: KeptChunks) -> Any:
    def read(start: int, stop: int) -> NDArray[np.int64]:
        block: NDArray[np.int64] = read_rows(dataset, start, stop, kept=kept)
        if (block[1:] < block[:-1]).any():
            raise DamagedError(f"{dataset.name}: says that its timesteps never fall, and they do")
        return block

    return read
