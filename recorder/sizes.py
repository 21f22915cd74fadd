"""How large the next block is: by what came so far."""

from __future__ import annotations

import math

from recorder.blocks import Blocks, blocks_of
from recorder.plan import END, HEAD, MAIN, Plan
from recorder.ring.record import Description, Record

FIRST_BLOCK = 1 << 16
LARGEST_BLOCK = 1 << 22


class BlockSizes:
    """The blocks of one episode.

    Parameters
    ----------
    largest : int
        Bytes that one may have, with all that stands beside its rows.
    chunk_size : int
        Rows of a chunk.
    expected_rows : int
        Calls of the episode before, by which the first block is sized.
    """

    def __init__(self, largest: int, chunk_size: int, expected_rows: int) -> None:
        self._largest, self._chunk_size, self._expected = largest, chunk_size, expected_rows
        self._budget = 0

    def next(self, plan: Plan, rows_before: int, most_rows: int = 0) -> Description:
        """The next block, after so many rows; with at most ``most_rows`` of them, if that is not 0."""
        blocks = blocks_of(plan)
        budget = self._next_budget(blocks.row_bytes)
        if most_rows:
            return self._fitting(
                plan, blocks, max(min(budget, int(most_rows * blocks.row_bytes)), min(budget, FIRST_BLOCK))
            )
        return self._fitting(plan, blocks, self._whole_chunks(blocks, rows_before, budget))

    def _next_budget(self, row_bytes: float) -> int:
        if not self._budget:
            self._budget = int(self._expected * 1.05 + 8) * int(row_bytes + 1) if self._expected else 0
            self._budget = max(FIRST_BLOCK, self._budget)
        else:
            self._budget *= 2
        self._budget = min(self._budget, LARGEST_BLOCK, self._largest // 2)
        return self._budget

    def _whole_chunks(self, blocks: Blocks, rows_before: int, budget: int) -> int:
        """A budget for a block that ends where chunks do, if a large one can: then hardly anything waits."""
        rows, chunk = int(budget // blocks.row_bytes), blocks.chunk_rows(self._chunk_size)
        whole = (rows_before + rows) // chunk * chunk - rows_before
        return math.ceil(whole * blocks.row_bytes) + 1 if 2 * whole > rows else budget

    def _fitting(self, plan: Plan, blocks: Blocks, budget: int) -> Description:
        """A block of this many bytes of rows, or of fewer where what stands beside them has grown."""
        described = blocks.described(plan, budget)
        while described.nbytes > self._largest and budget > 1:
            budget = max(1, min(budget // 2, budget - (described.nbytes - self._largest)))
            described = blocks.described(plan, budget)
        return described


def adapt(plan: Plan, record: Record) -> None:
    """Learn from how a block filled how much room streams need that do not come with every call."""
    # By the record's own layout: the plan may have changed since it was opened.
    main = record.tables[MAIN]
    rows = main.count
    if not rows:
        return
    for name, stream in plan.streams.items():
        side = record.tables.get(name)
        if side is not None:
            full = side.count >= side.table.rows
            least = 1.0 / stream.rate if stream.rate > 1 else 1e-3
            stream.share = min(1.0, max(side.count / rows * (2.0 if full else 1.1), least))
        head = main.columns[HEAD]
        if stream.indices and (side is not None or name in (head.dtype.names or ())):
            ends = head[name][:rows] if side is None else side.columns[END][: side.count]
            stream.heap_share = 8.0 * int(ends[-1]) / rows * 1.25 if len(ends) else 0.0
