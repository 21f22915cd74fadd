"""Steps that stay in the ring until something happens: blocks that are handed over late, or never.

They are logged like any others and cost what any cost; the writer gets them when they are released. A
process that dies meanwhile leaves them in the ring, and a repair stores the last ones of them: what a
flight recorder is for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from recorder.errors import RowTooLargeError
from recorder.plan import HEAD, MAIN
from recorder.ring.record import LATER_ROWS, LET_GO, ROWS, Description, Record
from recorder.writer import Writer

_PARTS = 4
"""Blocks that share the steps: up to one of them is held beyond what is wanted."""


class Hold:
    """The last ``steps`` steps of one episode: blocks that are full, and that the writer has not got.

    Parameters
    ----------
    steps : int
        How many are wanted, at least 1.
    """

    def __init__(self, writer: Writer, steps: int) -> None:
        self._writer, self.steps = writer, steps
        self._blocks: deque[Record] = deque()

    @property
    def block_rows(self) -> int:
        """Rows that a block is to have at most, so that few steps beyond what is wanted are held."""
        return -(-self.steps // _PARTS)

    def check(self, described: Description) -> None:
        """Refuse what the ring cannot hold, before it is full.

        Raises
        ------
        RowTooLargeError
        """
        rows = max(1, next((table.rows for table in described.tables if table.name == MAIN), 1))
        # Besides, what is held of the oldest block beyond them, and what does not fit at the arena's end.
        needed = (-(-self.steps // rows) + 2) * described.nbytes
        if needed > self._writer.ring.arena_bytes:
            # With more room blocks are larger, but not beyond the parts that share the steps.
            enough = max(needed, (_PARTS + 3) * described.nbytes * -(-self.block_rows // rows))
            raise RowTooLargeError(
                "ring",
                f"room for {self.steps:,} held steps, {needed:,} bytes",
                f"{self._writer.ring.arena_bytes:,} bytes",
                hint=f"open the recording with ring_bytes={enough + 65536} or more, or hold fewer",
            )

    def take(self, record: Record) -> None:
        """A block that is full; the oldest go, as far as the others have all that is wanted.

        Whatever interrupts this, it may be done again.
        """
        record.seal()
        if not self._blocks or self._blocks[-1] is not record:
            self._blocks.append(record)
        while _steps(self._blocks) - _steps([self._blocks[0]]) >= self.steps and not self._writer.failed:
            self._hand_over(LET_GO)
        self._writer.held_from = self._blocks[0].seq

    def yield_room(self) -> bool:
        """Let the oldest block go although it is wanted; False if there is no other one."""
        if len(self._blocks) < 2:
            return False
        self._hand_over(LET_GO)
        self._writer.held_from = self._blocks[0].seq
        return True

    def reach(self, more: Record | None) -> tuple[int, int] | None:
        """The timestep that a release would begin with, and how many it would store; None if none.

        ``more`` is the block that is open.
        """
        blocks = [*(block for block in self._blocks if block is not more), *([] if more is None else [more])]
        skip = max(0, _steps(blocks) - self.steps)
        for at, block in enumerate(blocks):
            count = _steps([block])
            if skip < count:
                return int(block.tables[MAIN].columns[HEAD]["timestep"][skip]), _steps(blocks[at:]) - skip
            skip -= count
        return None

    def release(self) -> int:
        """Hand the last steps over, to be stored; returns how many."""
        stored = 0
        self._writer.held_from = None
        while self._blocks:
            first = self._blocks[0]
            skip = max(0, _steps(self._blocks) - self.steps)
            # Before it counts as rows: who reads the ring, or mends it, stores no more than is wanted.
            first.skip = skip
            stored += _steps([first]) - skip
            self._hand_over(LATER_ROWS if skip else ROWS)
        return stored

    def let_go(self) -> None:
        """Hand all of it over as what is not to be stored; not where a repair is to have it."""
        while self._blocks and not self._writer.failed:
            self._hand_over(LET_GO)
        self._writer.held_from = None

    def _hand_over(self, kind: int) -> None:
        # It leaves last: whatever interrupts this does it again.
        self._blocks[0].turn_into(kind)
        self._writer.seal(self._blocks[0])
        self._blocks.popleft()


def _steps(blocks: Sequence[Record]) -> int:
    return sum(block.tables[MAIN].count for block in blocks)
