"""When rows have to be in the file for readers who know HDF5 alone, and chunks that are full by then.

What was logged is looked at several times before any row is due. A chunk that fills meanwhile is stored once,
as it stays; one that does not is shown with the rows that it has, and stored again. So chunks have as many
rows as come while they may wait, and hardly any is stored twice.
"""

from __future__ import annotations

import time

_LOOKS = 8
"""Looks in the time after which a row must be there."""
_OFTEN = 0.02
"""Seconds between looks that would come even more often."""
EARLY = 0.75
"""Of that time, from one look to the next, where each shows all there is."""
_IN_TIME = 0.95
"""Of that time; the rest is for the look itself, and for a call that comes late."""
_STEADY = 0.93
"""How much slower a stream may become until its chunks fill too late."""
_LEAST = 0.3
"""Of the rows of that time, those of a chunk that has few looks."""
_WORTH = 40
"""Bytes of rows from which a chunk of its own takes less than storing them as they are to begin with."""
_WIDE = 256
"""Bytes of a row that is worth one always."""
_TELLING = 3
"""Rows that tell a rate, at least."""
_UNKNOWN, _UNKNOWN_BYTES = 1000, 1 << 16
"""Rows of a chunk at least, and their bytes at most, where the rate is not known."""
_SLOW = 1024
"""Bytes of a chunk that fills more slowly than that."""


def tick_of(every: float) -> float:
    """Seconds from one look to the next, where rows may wait for so many."""
    return max(every / _LOOKS, min(EARLY * every, _OFTEN))


class Pace:
    """How fast a recording is logged, and by when its rows are due.

    Parameters
    ----------
    every : float
        Seconds after which a row that was logged must be in the file.
    tick : float
        Seconds from one look to the next, at least.
    """

    def __init__(self, every: float, tick: float) -> None:
        self._every, self._tick = every, tick
        # Rows that come right after a look and those right before the next have that many in common.
        common = int(_IN_TIME * every / tick) - 1
        self._share = max(_LEAST, _STEADY * common * tick / every)
        self._now = self.before = time.monotonic()
        """``before`` is when the last look but this one was: what is new was logged after that."""

    def look(self) -> None:
        """All that was logged until now is looked at."""
        self.before, self._now = self._now, time.monotonic()

    def due(self, since: float) -> bool:
        """Whether rows that were logged after ``since`` cannot wait for the next look."""
        gap = max(self._tick, self._now - self.before)
        return self._now + gap > since + _IN_TIME * self._every

    def chunk_rows(self, rows: int, row_bytes: int, most: int, since: float) -> int:
        """Rows of a chunk, at most so many, of a stream that got its first ``rows`` after ``since``."""
        elapsed = max(self._now - since, self._tick)
        coming = int(self._share * rows * self._every / elapsed)
        if rows < _TELLING or elapsed < self._every / 2:
            # The first step may take long, and somebody may not want to wait: that tells no rate.
            coming = max(coming, min(_UNKNOWN, _UNKNOWN_BYTES // max(1, row_bytes)))
        few = 1 if row_bytes >= _WIDE else -(-_WORTH // max(1, row_bytes))
        if coming < few:
            coming = 1 if row_bytes >= _WIDE else -(-_SLOW // max(1, row_bytes))
        return max(1, min(most, coming))
