"""Clocks: compact where steps are even, and the same answers either way."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from recorder.format.clock import Clock, row_span

INT64 = st.integers(-(2**63), 2**63 - 1)
STEPS = st.one_of(
    st.lists(st.integers(-20, 20), max_size=12),
    st.lists(st.integers(-20, 20), max_size=12).map(sorted),
    st.builds(
        lambda a, s, n: list(range(a, a + s * n, s)),
        st.integers(-9, 9),
        st.integers(1, 4),
        st.integers(0, 12),
    ),
    st.lists(INT64, max_size=5),
)

BOUNDS = st.none() | INT64 | st.integers(-25, 25) | st.floats(allow_nan=False) | st.fractions(-25, 25)


@example([2**63 - 1], [], None, float(2**63))
@example([1, 2**63 - 1, 2**63 - 1], [], None, float(2**63))
@given(STEPS, st.lists(st.integers(0, 12), max_size=3), BOUNDS, BOUNDS)
def test_rows_are_those_of_a_mask(
    steps: list[int], cuts: list[int], start: float | None, stop: float | None
) -> None:
    whole = np.array(steps, np.int64)
    clock = Clock.of(np.split(whole, sorted(min(cut, len(whole)) for cut in cuts)))
    assert len(clock) == len(whole)
    assert_array_equal(clock.values(), whole)
    inside = [(start is None or step >= start) and (stop is None or step < stop) for step in steps]
    rows = clock.rows(start, stop)
    assert_array_equal(np.arange(len(whole))[rows], np.flatnonzero(inside))
    assert_array_equal(clock.values(rows), whole[np.array(inside, bool)])
    low, high = row_span(rows)
    assert 0 <= low <= high <= len(whole)


def test_even_steps_are_three_numbers() -> None:
    clock = Clock.of([np.arange(5, 1000, 5), np.arange(1000, 2000, 5)])
    assert clock.uneven is None
    assert (clock.first, clock.step, clock.count) == (5, 5, 399)
    assert Clock.of([np.arange(5), np.arange(6, 9)]).uneven is not None


def test_a_step_that_64_bits_do_not_hold_is_none() -> None:
    ends = np.array([-1, 2**63 - 1])
    assert_array_equal(Clock.of([ends[:1], ends[1:]]).values(), ends)


def test_values_are_copies() -> None:
    clock = Clock.of([np.array([1, 5, 6])])
    clock.values()[0] = 9
    clock.values(slice(0, 1))[0] = 9
    assert clock.values()[0] == 1
