"""Rows that come again are found in noise, with and without ISA-L."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from recorder.format import deflate


@pytest.mark.parametrize("with_isal", [True, False])
def test_repeated_rows_shrink_and_come_back(with_isal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not with_isal:
        monkeypatch.setattr(deflate, "_isal", None)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((4, 200)).astype(np.float32)[rng.integers(0, 4, 80)]
    planes = deflate.planes_of(rows)
    packed = deflate.deflate_repeats(planes)
    assert zlib.decompress(packed) == planes.tobytes()
    assert len(packed) < rows.nbytes / 8
