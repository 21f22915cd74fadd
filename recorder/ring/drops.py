"""What a dropping policy let go, stream by stream, where a kill cannot lose it.

::

    0   <Q   episode id + 1; 0 before anything was dropped
    8   <Q   number of entries
    16       entries: <Q rows dropped, <Q bytes of the name, the name in UTF-8, padded to 8 bytes

Why not in a record: steps are dropped because there is no room for another one, and a stream of which
everything was dropped stands in no record at all. Counting is a plain store, as everything in the ring.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SIZE = 1 << 16
OTHERS = "*"
"""Takes the rows of all streams whose names found no room."""
_ENTRY = struct.Struct("<QQ")
_FIRST = 16


class DropCounts:
    """The counts of one episode at a time; ``memory`` is the ring's area for them."""

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self._memory = memory
        self._words: NDArray[np.uint64] = memory.view(np.uint64)
        self._places: dict[str, int] = {}
        self._end = _FIRST

    def add(self, episode_id: int, rows: Iterable[tuple[str, int]]) -> None:
        """Count dropped ``(stream, rows)`` of an episode; the counts of the one before it go."""
        if int(self._words[0]) != episode_id + 1:
            # Emptied first: a kill in between leaves no counts of another episode.
            self._words[1] = 0
            self._words[0] = episode_id + 1
            self._places, self._end = {}, _FIRST
        for name, count in rows:
            self._words[self._place(name)] += np.uint64(count)

    def of(self, episode_id: int) -> dict[str, int]:
        """Rows dropped by stream, in the order in which streams first lost one."""
        found: dict[str, int] = {}
        if not len(self._words) or int(self._words[0]) != episode_id + 1:
            return found
        at = _FIRST
        for _ in range(int(self._words[1])):
            if at + _ENTRY.size > SIZE:
                break
            count, length = _ENTRY.unpack_from(self._memory.data, at)
            at += _ENTRY.size
            if at + length > SIZE:
                break
            found[self._memory[at : at + length].tobytes().decode("utf-8", "replace")] = count
            at += -(-length // 8) * 8
        return found

    def _place(self, name: str) -> int:
        place = self._places.get(name)
        if place is None:
            raw = name.encode()
            size = _ENTRY.size + -(-len(raw) // 8) * 8
            # The last entry that fits is kept for the streams that do not.
            if name != OTHERS and self._end + size > SIZE - 2 * _ENTRY.size:
                return self._place(OTHERS)
            at = self._end
            _ENTRY.pack_into(self._memory.data, at, 0, len(raw))
            at += _ENTRY.size
            self._memory[at : at + len(raw)] = np.frombuffer(raw, np.uint8)
            place = self._places[name] = self._end // 8
            self._end += size
            self._words[1] = len(self._places)
        return place
