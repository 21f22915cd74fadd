"""The common front of the peers whose documentation asks for batches."""

from __future__ import annotations

from peer.buffer import Batch, Buffer
from peer.work import Work


class Batched:
    """``log`` is the buffer's own, with nothing in between; a peer says how a batch is written."""

    def __init__(self, work: Work, rows: int) -> None:
        self._buffer = Buffer(work, rows, self.write)
        self.log = self._buffer.log
        self.start_episode = self._buffer.start_episode

    def write(self, batch: Batch) -> None:
        """Store a batch."""
        raise NotImplementedError

    def end_episode(self) -> None:
        """Batches go on over episodes, which are a column or an index."""

    def flush(self) -> None:
        """Store the rows that wait."""
        self._buffer.flush()
