"""Byte planes come back as values, by NumPy and compiled, and nothing is read or written beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.format import unshuffle as module

WAYS = [module.by_numpy, *filter(None, [module.compiled()])]


@pytest.mark.parametrize("way", WAYS)
@given(
    width=st.sampled_from([1, 2, 3, 4, 8, 16]),
    values=st.integers(1, 100),
    part=st.tuples(st.integers(0, 100), st.integers(0, 100)),
)
def test_any_part_of_any_width(way: module.Unshuffle, width: int, values: int, part: tuple[int, int]) -> None:
    first, last = sorted(min(one, values) for one in part)
    rows = np.random.default_rng(values).integers(0, 256, (values, width), np.uint8)
    out = np.full((last - first) * width + 2, 7, np.uint8)
    way(rows.T.tobytes(), width, first, out[1:-1])
    assert (out[1:-1] == rows[first:last].reshape(-1)).all()
    assert out[0] == out[-1] == 7


@pytest.mark.skipif(module.compiled() is None, reason="not compiled here")
@pytest.mark.parametrize(
    ("width", "first", "size"), [(0, 0, 8), (8, -1, 8), (8, 9, 8), (8, 1, 64), (8, 0, 9), (3, 0, 3)]
)
def test_planes_that_hold_less_are_refused(width: int, first: int, size: int) -> None:
    compiled = module.compiled()
    assert compiled is not None
    with pytest.raises(ValueError, match="do not hold"):
        compiled(bytes(64), width, first, np.zeros(size, np.uint8))
