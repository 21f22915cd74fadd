"""What a plan comes to, made once: short episodes have the same plan one after the other."""

from __future__ import annotations

from typing import Any

from recorder.h5.chunking import MAX_CHUNK_BYTES
from recorder.plan import Plan
from recorder.ring.record import Description

MOST_KEPT = 16
"""Plans, and blocks of each."""


class Blocks:
    """The blocks of one plan.

    Attributes
    ----------
    row_bytes : float
        Bytes that a call takes in a block, on average.
    """

    def __init__(self, plan: Plan) -> None:
        self.row_bytes = plan.row_bytes
        self._widest = max((f.row_bytes for f in plan.main_columns()), default=8)
        self._places = plan.places()
        self._described: dict[int, Description] = {}

    def chunk_rows(self, most: int) -> int:
        """Rows of a chunk of the widest stream of the main table, where chunks have at most so many."""
        return max(1, min(most, MAX_CHUNK_BYTES // self._widest))

    def described(self, plan: Plan, budget: int) -> Description:
        """A block of this many bytes; ``plan`` is the one that these are of, or its equal."""
        found = self._described.get(budget)
        if found is None:
            found = Description.of({"streams": self._places}, plan.tables(budget))
            _keep(self._described, budget, found)
        return found


def blocks_of(plan: Plan) -> Blocks:
    """The blocks of a plan as it is now."""
    # Streams are mutable, and stand for what they are.
    streams = tuple(
        (name, s.kind, s.rate, s.required, s.share, s.heap_share) for name, s in plan.streams.items()
    )
    fields = plan.weight_fields and tuple(map(tuple, plan.weight_fields))
    key = (streams, fields, plan.weight_rows, plan.events, plan.event_rows, plan.event_bytes)
    found = _BLOCKS.get(key)
    if found is None:
        found = Blocks(plan)
        _keep(_BLOCKS, key, found)
    return found


_BLOCKS: dict[Any, Blocks] = {}


def _keep(known: dict[Any, Any], key: Any, value: Any) -> None:
    if len(known) >= MOST_KEPT:
        known.clear()
    known[key] = value
