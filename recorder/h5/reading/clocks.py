"""Reading a stream's timesteps: chunks that count evenly are looked at once, however often they are stored.

Every stream of an episode that logs each step stores the same timesteps, and every episode that begins at 0
stores them again. The same stored bytes mean the same timesteps, so what a chunk said is remembered by them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recorder.errors import DamagedError
from recorder.format.clock import Clock
from recorder.h5.reading.budget import check_chunk
from recorder.h5.reading.chunks import ChunkLayout, KeptChunks
from recorder.h5.reading.guard import damage
from recorder.h5.reading.places import ChunkPlaces
from recorder.h5.reading.rows import named, read_blocks

_KEPT_BYTES = 2 << 20

Key = tuple[bytes, int, int, ChunkLayout]


class KnownTimesteps:
    """What the stored bytes of a chunk said, if they counted evenly; for all episodes of an open file."""

    def __init__(self) -> None:
        self._parts: dict[Key, Clock] = {}
        self._nbytes = 0

    def get(self, key: Key) -> Clock | None:
        """The timesteps, if these bytes have been seen before."""
        return self._parts.get(key)

    def put(self, key: Key, part: Clock) -> None:
        """Remember them, as long as there is room."""
        if key not in self._parts and self._nbytes + len(key[0]) <= _KEPT_BYTES:
            self._parts[key] = part
            self._nbytes += len(key[0])


def read_clock(dataset: Any, count: int, kept: KeptChunks | None, known: KnownTimesteps) -> Clock:
    """The first ``count`` timesteps of a one-dimensional dataset of integers.

    ``kept`` is that of an episode that no longer changes, else None.

    Raises
    ------
    DamagedError, ReadError
        As :func:`recorder.h5.reading.rows.read_rows`.
    """
    with damage(dataset.name):
        layout = None if kept is None else kept.layout(dataset)
        if kept is not None and layout is not None and dataset.dtype == np.int64:
            check_chunk(dataset)
            clock = _even(dataset, layout, count, kept, known)
            if clock is not None:
                return clock
    return Clock.of(block.astype(np.int64, copy=False) for block in read_blocks(dataset, 0, count, kept=kept))


def _even(
    dataset: Any, layout: ChunkLayout, count: int, kept: KeptChunks, known: KnownTimesteps
) -> Clock | None:
    """The clock, if it is even; at the first chunk that is not, looking ends."""
    chunks = range(0, count, layout.chunk[0])
    parts = EvenParts(dataset, layout, kept, known, chunks)
    whole = Clock()
    for row in chunks:
        part = parts.get(row, count)
        longer = None if part is None else whole.joined(part)
        if longer is None:
            return None
        whole = longer
    return whole


class EvenParts:
    """Clocks of single chunks of timesteps: of those that begin at the rows ``wanted``."""

    def __init__(
        self, dataset: Any, layout: ChunkLayout, kept: KeptChunks, known: KnownTimesteps, wanted: range
    ) -> None:
        self._name, self._layout, self._known = dataset.name, layout, known
        self._places = ChunkPlaces(dataset, layout, kept.file, wanted)

    def get(self, row: int, count: int) -> Clock | None:
        """The clock of the chunk that begins at ``row``, of ``count`` rows in all; None if it is not even.

        Raises
        ------
        DamagedError
            The chunk cannot be read.
        """
        layout = self._layout
        stored, mask = self._places.fetch(row)
        lines = min(layout.chunk[0], count - row)
        key = (stored, mask, lines, layout)
        part = self._known.get(key)
        if part is None:
            try:
                decoded = layout.decode(stored, mask)
            except DamagedError as error:
                raise named(self._name, row, error) from error
            block = np.empty(lines, np.int64)
            layout.place(decoded, slice(0, lines), None, block)
            part = Clock.even(block)
            if part is not None:
                self._known.put(key, part)
        return part
