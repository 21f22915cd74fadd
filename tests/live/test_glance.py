"""A course of means is that of all values, in constant memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loaders.live.course import BLOCKS, Course, sparkline


@given(st.lists(st.integers(0, 500), max_size=30), st.integers(1, 9))
def test_means_are_of_neighbours(parts: list[int], bins: int) -> None:
    course, values = Course(bins), np.arange(float(sum(parts)))
    start = 0
    for part in parts:
        course.add(values[start : start + part])
        start += part
    means = course.means()
    assert course.count == len(values)
    assert course.total == values.sum()
    assert len(means) <= 2 * bins + 1
    if not len(values):
        assert not len(means)
        return
    width = 1
    while -(-len(values) // width) > len(means):
        width *= 2
    wanted = [values[at : at + width].mean() for at in range(0, len(values), width)]
    assert np.allclose(means, wanted)


def test_what_is_no_number_does_not_count() -> None:
    course = Course()
    course.add(np.array([1.0, np.nan, np.inf, 3.0]))
    assert course.means().tolist() == [1.0, 3.0]


def test_sparklines() -> None:
    assert sparkline(np.empty(0), 5) == ""
    assert sparkline(np.ones(3), 5) == BLOCKS[0] * 3
    assert sparkline(np.arange(8.0), 8) == BLOCKS
    assert sparkline(np.arange(20.0), 4) == BLOCKS[0] + BLOCKS[2] + BLOCKS[5] + BLOCKS[7]
