"""Rewards: runs of equal values, and the timesteps of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import ENCODING, REWARDS, REWARDS_RUNS
from recorder.format.runs import RunEncoder
from recorder.h5.chunking import Chunking
from recorder.h5.streams.column import ITEM_CHUNK, Column
from recorder.h5.streams.part import Part
from recorder.h5.streams.rows import Rows


class RewardPart(Part):
    """The open run lives in the encoder until it ends; see ``format/runs.py``."""

    group = REWARDS

    def __init__(self, chunking: Chunking) -> None:
        super().__init__(chunking)
        self._encoder = RunEncoder()
        self.total = 0.0

    def feed(self, rows: Rows) -> None:
        """Take a record's rewards."""
        if REWARDS not in rows.streams:
            return
        places, rewards = rows.column(REWARDS)
        if not len(rewards):
            return
        if not self._columns:
            self._columns = {
                "timesteps": self.clock(),
                "values": self.column("values", np.float64, items=ITEM_CHUNK),
                "lengths": self.column("lengths", np.uint32, items=ITEM_CHUNK),
            }
        rewards = np.ascontiguousarray(rewards)
        self._columns["timesteps"].push(rows.timesteps_of(places))
        self._push(*self._encoder.feed(rewards))
        # In order, one by one, as the caller would add them up: pairwise sums differ in the last bits.
        with np.errstate(all="ignore"):
            self.total = float(np.cumsum(np.concatenate(([self.total], rewards)))[-1])

    def close(self) -> None:
        """Push the open run."""
        if self._columns:
            self._push(*self._encoder.close())

    def open_rows(self) -> list[tuple[Column, NDArray[Any]]]:
        """The open run."""
        if not self._columns or not self._encoder.length:
            return []
        run = {"values": self._encoder.value, "lengths": self._encoder.length}
        return [(self._columns[name], np.array([of], self._columns[name].dtype)) for name, of in run.items()]

    def attributes(self) -> dict[str, Any]:
        """The encoding."""
        return {ENCODING: REWARDS_RUNS} if self._columns else {}

    def totals(self) -> dict[str, Any]:
        """The sum of all rewards."""
        return {"total_reward": self.total} if self._columns else {}

    def rows(self) -> dict[str, int]:
        """Rows."""
        return {REWARDS: self._columns["timesteps"].rows} if self._columns else {}

    def whole(self) -> dict[str, int]:
        """Rows whose run has ended and is in the file."""
        if not self._columns:
            return {}
        steps, lengths = self._columns["timesteps"], self._columns["lengths"]
        open_rows = self._encoder.length + int(lengths.waiting_rows().sum(dtype=np.int64))
        return {REWARDS: min(steps.committed, steps.rows - open_rows)}

    def state(self) -> dict[str, Any]:
        """Open run, with its value as hexadecimal text so that every bit survives, and the sum."""
        return {
            "value": np.float64(self._encoder.value).tobytes().hex(),
            "length": self._encoder.length,
            "total": np.float64(self.total).tobytes().hex(),
            **super().state(),
        }

    def restore(self, state: dict[str, Any], columns: dict[str, Column]) -> None:
        """Become what :meth:`state` described."""
        self._encoder = RunEncoder(_real(state["value"]), state["length"])
        self.total = _real(state["total"])
        super().restore(state, columns)

    def _push(self, values: Any, lengths: Any) -> None:
        self._columns["values"].push(values)
        self._columns["lengths"].push(lengths)


def _real(text: str) -> float:
    return float(np.frombuffer(bytes.fromhex(text), np.float64)[0])
