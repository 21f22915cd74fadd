"""A column of timesteps, which learns while they pass how they go and says so once the episode has ended."""

from __future__ import annotations

import weakref
from dataclasses import astuple
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recorder.format.course import Course
from recorder.h5.streams.column import Column
from recorder.h5.streams.pace import Pace


class ClockColumn(Column):
    """Timesteps of a stream, int64 ``(rows,)``.

    Of no more than one chunk nothing is learned or said: whoever reads one value reads all of them.
    """

    _course = Course()
    """Of all rows so far; of none while they are fewer than a chunk's, which all wait."""

    def push(self, rows: NDArray[Any]) -> None:
        """More timesteps."""
        super().push(rows)
        if self.rows < self.chunk_rows or not self._course.rising:
            return
        for block in [rows] if self._course.count else self._pending:
            self._course = self._course.joined(_course_of(block))

    def look(self, pace: Pace, more: int, *, ahead: bool, hurry: bool = False) -> None:
        """As :meth:`Column.look`; of chunks that have become smaller there may be more than one already."""
        super().look(pace, more, ahead=ahead, hurry=hurry)
        if self.rows >= self.chunk_rows and not self._course.count and self._course.rising:
            for block in self._pending:
                self._course = self._course.joined(_course_of(block))

    def end(self) -> None:
        """Say what is known of them, where they fill more than a chunk."""
        if self.rows > self.chunk_rows:
            for name, value in self._course.attributes().items():
                self.set_attribute(name, value)

    @property
    def foreseen(self) -> bool:
        """Whether they count evenly so far."""
        steps = np.diff(self.waiting_rows())
        return bool((steps == steps[:1]).all())

    def fork(self, path: str) -> Self:
        """As :meth:`Column.fork`."""
        other = super().fork(path)
        other._course = self._course
        return other

    def state(self) -> dict[str, Any]:
        """As :meth:`Column.state`, with the course of the rows so far."""
        return super().state() | {"course": astuple(self._course)}

    @classmethod
    def restore(cls, state: dict[str, Any], blob: memoryview) -> Self:
        """The column that :meth:`state` describes."""
        column = super().restore(state, blob)
        column._course = Course(*state["course"])
        return column


def restored(state: dict[str, Any], blob: memoryview) -> Column:
    """The column of this state: of one from before anything was learned, a plain one, which says nothing."""
    return (ClockColumn if "course" in state else Column).restore(state, blob)


class _Latest:
    """The block that was looked at last: streams that every call brings push the same one each."""

    seen: tuple[weakref.ref[NDArray[np.int64]], Course] | None = None


def _course_of(block: NDArray[np.int64]) -> Course:
    seen = _Latest.seen
    if seen is None or seen[0]() is not block:
        seen = _Latest.seen = weakref.ref(block), Course.of(block)
    return seen[1]
