"""The keyword lists of all pairs, kept as one flat array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError


class KeywordLists(Sequence[list[int]]):
    """For each pair the numbers of its keywords, read like a list of lists of int.

    Parameters
    ----------
    values : array of int
        All lists one after the other.
    offsets : array of int64
        Where each begins, and where the last one ends.
    """

    def __init__(self, values: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        self.values, self.offsets = values, offsets

    @classmethod
    def of(cls, lists: Any, where: str) -> KeywordLists:
        """From a list of lists of int, as a pickle has it.

        Raises
        ------
        DamagedError
            It is something else.
        """
        if not isinstance(lists, list):
            raise DamagedError(f"{where}: expected a list of lists of int, got {type(lists).__name__}")
        for number, one in enumerate(lists):
            # bool is an int, and no keyword.
            if not isinstance(one, list) or any(type(keyword) is not int for keyword in one):
                raise DamagedError(f"{where}: pair {number} has {one!r:.80}, expected a list of int")
        offsets = np.zeros(len(lists) + 1, np.int64)
        np.cumsum([len(one) for one in lists], out=offsets[1:])
        try:
            values = np.fromiter((keyword for one in lists for keyword in one), np.int64, int(offsets[-1]))
        except OverflowError as error:
            raise DamagedError(f"{where}: a keyword's number has more than 64 bits") from error
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> list[int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...

    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        found: list[int] = self.values[self.offsets[place] : self.offsets[place + 1]].tolist()
        return found

    def __iter__(self) -> Iterator[list[int]]:
        return (self[number] for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, KeywordLists):
            return np.array_equal(self.values, other.values) and np.array_equal(self.offsets, other.offsets)
        return list(self) == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"KeywordLists({len(self):,} pairs, {len(self.values):,} keywords)"
