"""Rewards as runs: (value, length), where equal means equal bits, so NaN and −0.0 survive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MAX_LENGTH = 2**32 - 1


@dataclass(slots=True)
class RunEncoder:
    """Turns rewards, fed in order, into closed runs; the last run stays open in the fields."""

    value: float = 0.0
    length: int = 0

    def feed(self, rewards: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """The runs that ``rewards`` (steps,) closes: values float64 and lengths uint32."""
        if not len(rewards):
            return np.empty(0), np.empty(0, np.uint32)
        rewards = np.ascontiguousarray(rewards, np.float64)
        bits = rewards.view(np.int64)
        bounds = np.concatenate(([0], np.flatnonzero(bits[1:] != bits[:-1]) + 1, [len(rewards)]))
        values = rewards[bounds[:-1]]
        lengths = bounds[1:] - bounds[:-1]
        if self.length:
            if np.float64(self.value).view(np.int64) == bits[0]:
                lengths[0] += self.length
            else:
                values = np.concatenate(([self.value], values))
                lengths = np.concatenate(([self.length], lengths))
        self.value, self.length = float(values[-1]), int(lengths[-1])
        values, lengths = values[:-1], lengths[:-1]
        if self.length > _MAX_LENGTH:
            values, lengths = np.append(values, self.value), np.append(lengths, _MAX_LENGTH)
            self.length -= _MAX_LENGTH
        return values, lengths.astype(np.uint32)

    def close(self) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
        """The open run, if there is one."""
        keep = 1 if self.length else 0
        out = np.array([self.value])[:keep], np.array([self.length], np.uint32)[:keep]
        self.length = 0
        return out


def decode_runs(values: NDArray[np.float64], lengths: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The reward of each row, float64 ``(steps,)``."""
    return np.repeat(values, lengths)
