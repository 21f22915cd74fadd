"""A part of the file that is checked in one go: what stands in it, and how to read what is sound of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.h5.reading.chunks import KeptChunks
from recorder.h5.reading.rows import read_rows
from recorder.h5.verify.chunks import Job
from recorder.h5.verify.walk import Item


@dataclass(slots=True)
class Unit:
    """An episode, or another group of the root, by its path; ``items`` and ``jobs`` by theirs."""

    path: str
    items: dict[str, Item] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    kept: KeptChunks = field(default_factory=KeptChunks)

    def has(self, name: str) -> bool:
        """Whether there is an object of this path below the unit."""
        return f"{self.path}/{name}" in self.items

    def facts(self, name: str = "") -> dict[str, Any]:
        """The attributes of an object; {} where there is none."""
        item = self.items.get(f"{self.path}/{name}" if name else self.path)
        return {} if item is None else item.facts

    def columns(self, group: str) -> list[str]:
        """Names of the datasets right below a group."""
        above = f"{self.path}/{group}/"
        below = (path.removeprefix(above) for path in self.jobs if path.startswith(above))
        return [name for name in below if "/" not in name]

    def rows(self, name: str) -> int | None:
        """Rows of a dataset; None where there is none."""
        job = self.jobs.get(f"{self.path}/{name}")
        return None if job is None or not job.shape else int(job.shape[0])

    def sound(self, *names: str) -> bool:
        """Whether these datasets are there and every chunk of them decodes: then they may be read."""
        return all(
            (job := self.jobs.get(f"{self.path}/{name}")) is not None and job.sound and job.shape
            for name in names
        )

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Rows of a sound dataset."""
        job = self.jobs[f"{self.path}/{name}"]
        return read_rows(job.dataset, start, job.shape[0] if stop is None else stop, kept=self.kept)

    def blocks(self, name: str, rows: int = 1 << 21) -> Iterator[NDArray[Any]]:
        """All rows of a sound dataset, so many at a time; at least one block."""
        count = self.rows(name) or 0
        for start in range(0, max(count, 1), rows):
            yield self.read(name, start, min(start + rows, count))


def leads_up(ends: NDArray[Any], total: int) -> bool:
    """Whether ends never fall and the last one is the total; there may be none."""
    return not len(ends) or (not np.any(np.diff(ends, prepend=0) < 0) and int(ends[-1]) == total)
