"""Which rows belong to whom: subjects or files whose windows stand one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recorder.errors import ReadError


class Groups:
    """Groups of consecutive rows.

    Parameters
    ----------
    names : sequence of str
    starts, counts : array of int
        First row and number of rows of each group.

    Raises
    ------
    ReadError
        They do not have one length, or rows below 0, or two groups have a row in common.
    """

    def __init__(self, names: Sequence[str], starts: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        self.names = list(names)
        self.starts, self.counts = np.asarray(starts, np.int64), np.asarray(counts, np.int64)
        if not len(self.names) == len(self.starts) == len(self.counts):
            raise ReadError(
                f"{len(self.names)} names, {len(self.starts)} starts and {len(self.counts)} counts of groups"
            )
        self._order = np.argsort(self.starts, kind="stable")
        ends = (self.starts + self.counts)[self._order]
        if (
            np.any(self.starts < 0)
            or np.any(self.counts < 0)
            or np.any(self.starts[self._order][1:] < ends[:-1])
        ):
            raise ReadError("groups of rows overlap, or begin before the first row")

    @classmethod
    def of_counts(cls, names: Sequence[str], counts: Sequence[int]) -> Groups:
        """Groups that follow each other from row 0 on."""
        sizes = np.asarray(counts, np.int64)
        return cls(names, np.cumsum(sizes) - sizes, sizes)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def total(self) -> int:
        """Rows of all groups."""
        return int(self.counts.sum())

    def rows(self, group: int) -> range:
        """The rows of a group."""
        start = int(self.starts[group])
        return range(start, start + int(self.counts[group]))

    def locate(self, row: int) -> tuple[int, int]:
        """The group of a row, and the row's number in it.

        Raises
        ------
        IndexError
            It is in none.
        """
        place = int(np.searchsorted(self.starts[self._order], row, "right")) - 1
        # Groups without rows begin where the next one does.
        while place >= 0:
            group = int(self._order[place])
            if row < self.starts[group] + self.counts[group]:
                return group, row - int(self.starts[group])
            if self.counts[group]:
                break
            place -= 1
        raise IndexError(f"row {row} belongs to no group")
