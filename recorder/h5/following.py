"""Reading a ring while it is written: what was logged since the last look, copied out and never torn.

The logging thread stores a row before the counter that covers it, and before it lays a record over another
one, it says that this one is gone. So a copy is whole if the record was not gone *after* it was made; that
is asked once more for every copy, and the writer never knows that anybody looks.
"""

from __future__ import annotations

from recorder.errors import DamagedError
from recorder.h5.pieces import Piece, begun, copied
from recorder.ring.arena import Ring
from recorder.ring.record import HELD, LATER_ROWS, LET_GO, ROWS, Record

_ROWS = (ROWS, LATER_ROWS)
_UNWANTED = (HELD, LET_GO)


class Overtaken(Exception):  # noqa: N818  it is no error: what is missing stands in the file
    """The writer used a record's memory again before its rows were copied."""


class Follower:
    """Goes from record to record and takes what is new.

    Parameters
    ----------
    ring : Ring
        One that was opened for reading.
    seq : int
        The first record that is wanted.
    """

    def __init__(self, ring: Ring, seq: int) -> None:
        self.ring, self.seq = ring, seq
        self._record: Record | None = None
        self._taken: dict[str, int] = {}

    def take(self) -> list[Piece]:
        """What was logged since the last call, in order; [] if nothing was.

        Raises
        ------
        Overtaken
            The rows that come next are no longer in the ring.
        DamagedError
            The ring is damaged.
        """
        pieces: list[Piece] = []
        try:
            while self.seq < self.ring.published:
                piece, sealed = self._look()
                if piece is not None:
                    pieces.append(piece)
                if not sealed:
                    break
                self.seq, self._record, self._taken = self.seq + 1, None, {}
        except Overtaken:
            if not pieces:
                raise
        return pieces

    def _look(self) -> tuple[Piece | None, bool]:
        try:
            record = self._record or self.ring.record(self.seq)
            # Before the counters: what is sealed gets no more rows.
            sealed = record.sealed
            if record.kind in _UNWANTED:
                # What is held is looked at anew until it has become something else.
                self._check()
                return None, record.kind == LET_GO
            if record.kind == LATER_ROWS and not self._record:
                self._taken = begun(record, record.skip)
            tables, taken = copied(record, self._taken) if self._grew(record) else ({}, self._taken)
        except (DamagedError, ValueError, IndexError, KeyError, TypeError):
            self._check()
            raise
        self._check()
        fresh = not self._record
        self._record, self._taken = record, taken
        if record.kind in _ROWS and not any(table.count for table in tables.values()):
            return None, sealed
        return (Piece(record, tables) if record.kind in _ROWS or fresh else None), sealed

    def _check(self) -> None:
        if self.ring.gone > self.seq:
            raise Overtaken

    def _grew(self, record: Record) -> bool:
        return any(view.count > self._taken.get(name, 0) for name, view in record.tables.items())
