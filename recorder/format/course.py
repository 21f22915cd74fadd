"""What is known of timesteps that were seen once: whether they count evenly, whether they ever fall.

Whoever writes them learns it block by block; attributes of their dataset say it (specification, section 5),
so that nobody has to read all of them to find a few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.clock import Clock
from recorder.format.layout import FIRST, SORTED, STEP

_LOW, _HIGH = -(2**63), 2**63


@dataclass(frozen=True, slots=True)
class Course:
    """How ``count`` timesteps go from ``first`` to ``last``; ``rising`` if none is less than the one before.

    ``step`` is the difference of all neighbours where that is one positive number, and 0 where it is not;
    1 where there are no neighbours.
    """

    count: int = 0
    first: int = 0
    last: int = 0
    step: int = 1
    rising: bool = True

    @classmethod
    def of(cls, block: NDArray[np.int64]) -> Course:
        """The course of timesteps int64 ``(rows,)``."""
        if not len(block):
            return cls()
        even = Clock.even(block)
        rising = even is not None or bool((block[1:] >= block[:-1]).all())
        return cls(len(block), int(block[0]), int(block[-1]), 0 if even is None else even.step, rising)

    def joined(self, after: Course) -> Course:
        """The course of these timesteps and then those."""
        if not self.count or not after.count:
            return after if after.count else self
        step = 0
        if self.step and after.step:
            step = after.first - self.last
            fits = 0 < step < _HIGH and (self.count == 1 or self.step == step)
            step = step if fits and (after.count == 1 or after.step == step) else 0
        rising = self.rising and after.rising and after.first >= self.last
        return Course(self.count + after.count, self.first, after.last, step, rising)

    def attributes(self) -> dict[str, Any]:
        """What to say of the dataset: :data:`FIRST` and :data:`STEP`, or :data:`SORTED`, or nothing."""
        if self.count < 2 or not self.rising:
            return {}
        return {FIRST: self.first, STEP: self.step} if self.step else {SORTED: True}


@dataclass(frozen=True, slots=True)
class Hint:
    """What a dataset's attributes say of its timesteps: ``first + step * row``, or that they never fall."""

    first: int = 0
    step: int = 0

    @classmethod
    def of(cls, facts: Mapping[str, Any], count: int) -> Hint | None:
        """The inverse of :meth:`Course.attributes`; None where they say nothing.

        Parameters
        ----------
        facts : mapping
            The attributes, as Python values.
        count : int
            Rows of the dataset.

        Raises
        ------
        DamagedError
            They cannot be what a recorder wrote: of another type or shape, or timesteps beyond 64 bits.
        """
        if facts.keys().isdisjoint((FIRST, STEP)):
            ordered = facts.get(SORTED, False)
            if not isinstance(ordered, bool):
                raise DamagedError(f"its attribute {SORTED!r} is {ordered!r:.99}")
            return cls() if ordered else None
        first, step = facts.get(FIRST), facts.get(STEP)
        if type(first) is not int or type(step) is not int or not 1 <= step < _HIGH:
            raise DamagedError(f"its attributes {FIRST!r} and {STEP!r} are {first!r:.99} and {step!r:.99}")
        if not _LOW <= first <= first + step * max(count - 1, 0) < _HIGH:
            raise DamagedError(f"{count:,} timesteps from {first} by {step} do not fit 64 bits")
        return cls(first, step)

    @property
    def even(self) -> bool:
        """Whether every timestep is known; else only that none is less than the one before."""
        return self.step > 0

    def clock(self, count: int) -> Clock:
        """The timesteps of ``count`` rows, where they are :attr:`even`."""
        return Clock(self.first, self.step, count)

    def contradiction(self, course: Course) -> str:
        """What the timesteps themselves say against it; empty where they agree."""
        if not self.even:
            return "" if course.rising else "says that its timesteps never fall, and they do"
        # One row has no step of its own.
        agrees = not course.count or (course.first == self.first and course.step and course.rising)
        if agrees and (course.count < 2 or course.step == self.step):
            return ""
        return f"says that its timesteps count from {self.first} by {self.step}, and they do not"
