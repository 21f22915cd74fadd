"""Rounding keeps its bound, keeps what has none, and makes noise small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recorder.format.rounding import rounded

DTYPES = ["<f2", "<f4", "<f8", ">f8", "<c8", "<c16"]


@given(st.data(), st.sampled_from(DTYPES), st.floats(1e-12, 1e12))
def test_no_value_moves_further_than_asked(data: st.DataObject, dtype: str, precision: float) -> None:
    values = data.draw(hnp.arrays(dtype, hnp.array_shapes(max_dims=2)))
    found = rounded(values, precision)
    assert found.dtype == values.dtype
    assert found.shape == values.shape
    for before, after in (
        [(values.real, found.real), (values.imag, found.imag)]
        if values.dtype.kind == "c"
        else [(values, found)]
    ):
        finite = np.isfinite(before)
        assert np.array_equal(after[~finite], before[~finite], equal_nan=True)
        moved = np.abs(after[finite].astype(np.longdouble) - before[finite].astype(np.longdouble))
        assert (moved <= precision).all()


@pytest.mark.parametrize("precision", [1e-320, 1e-3, 1.0, 1e300])
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_the_ends_of_the_range(dtype: str, precision: float) -> None:
    info = np.finfo(dtype)
    values = np.array([info.max, info.min, info.tiny, info.smallest_subnormal, -0.0, np.nan, np.inf], dtype)
    found = rounded(values, precision)
    moved = np.abs(found[:5].astype(np.longdouble) - values[:5].astype(np.longdouble))
    assert (moved <= precision).all()
    assert np.isnan(found[5])
    assert found[6] == np.inf


def test_values_are_not_changed_in_place() -> None:
    values = np.array([0.1234567, 1.0])
    rounded(values, 0.1)
    assert values.tolist() == [0.1234567, 1.0]


def ornstein_uhlenbeck(steps: int, neurons: int) -> Any:
    """Potentials around -65 mV with a standard deviation of 3 mV and a time constant of 20 steps."""
    rng = np.random.default_rng(0)
    v = np.zeros((steps, neurons))
    for t in range(1, steps):
        v[t] = v[t - 1] * (1 - 1 / 20) + 3 * np.sqrt(2 / 20) * rng.standard_normal(neurons)
    return v - 65.0
