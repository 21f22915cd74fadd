"""The benchmark of datasets with steering vectors runs, and saves what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.test_benchmarks import run, saved

pytest.importorskip("torch")


def test_steering(tmp_path: Path) -> None:
    arguments = ("--pairs", "300", "--repeats", "1", "--samples", "64", "--ways", "pt")
    out = run("steering.py", *arguments, "--output", str(tmp_path), "--scratch", str(tmp_path))
    assert "opens in" in out
    assert (tmp_path / "steering.png").stat().st_size > 5_000
    found: Any = saved(tmp_path, "steering")
    assert found["ways"]["pt"]["open_over_pt"] == 1
    assert found["sizes"]["from float16"]["hdf5, gzip"]["smaller"] > 0.3
