"""Is what a peer gives back what it was given?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from peer.protocol import Part
from peer.work import Given


class WrongError(Exception):
    """A value came back changed."""


@dataclass
class Found:
    """Steps that came back whole and exact from the first on, and what the reader said when it stopped."""

    steps: int
    error: str | None = None


def collect(parts: Iterable[Part]) -> tuple[Part, str | None]:
    """All pieces joined, as far as the reader gives any, and its error."""
    pieces: dict[str, list[Any]] = {field.name: [] for field in fields(Part)}
    error = None
    iterator: Iterator[Part] = iter(parts)
    while True:
        try:
            part = next(iterator)
        except StopIteration:
            break
        except Exception as raised:  # whatever a library raises on a file that is not finished
            error = f"{type(raised).__name__}: {str(raised).strip()[:120]}"
            break
        for name, values in pieces.items():
            value = getattr(part, name)
            if value is not None:
                values.append(value)
    return Part(**{name: np.concatenate(values) for name, values in pieces.items() if values}), error


def check(part: Part, given: Given, scalars: bool) -> int:
    """Steps that came back from the first on.

    Raises
    ------
    WrongError
        One of their values is not the one that was given.
    """
    work, inputs = given.work, given.inputs
    steps = min(_length(getattr(part, name)) for name in ("counts", "x", "y", "reward"))
    if not scalars:
        kept = np.flatnonzero(np.arange(work.total) % work.steps % work.sampling == 0)
        rows = _length(part.v)
        if rows < len(kept):
            steps = min(steps, int(kept[rows]))
        while steps and part.counts is not None and part.counts[:steps].sum() > _length(part.neurons):
            steps -= 1
    counts = np.count_nonzero(inputs.spikes[:steps], axis=1)
    wanted: dict[str, Any] = {"counts": counts}
    if steps:
        for name in ("x", "y", "reward"):
            wanted[name] = np.array(getattr(inputs, name)[:steps], getattr(part, name).dtype)
    if steps and not scalars:
        wanted["neurons"] = np.flatnonzero(inputs.spikes[:steps]) % work.neurons
        rows = int(np.searchsorted(kept, steps))
        if part.v is None or part.v.dtype != work.dtype:
            raise WrongError(f"v: {work.dtype} came back as {part.v if part.v is None else part.v.dtype}")
        if not all((part.v[row] == given.v[kept[row] % len(given.v)]).all() for row in range(rows)):
            raise WrongError("v")
    for name, values in wanted.items():
        if steps and not np.array_equal(getattr(part, name)[: len(values)], values):
            raise WrongError(name)
    return steps


def _length(values: Any) -> int:
    return 0 if values is None else len(values)
