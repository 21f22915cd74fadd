"""Shared by the tests of stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.storage import HDF5Storage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[HDF5Storage]:
    """An open store, empty."""
    with HDF5Storage(tmp_path / "s.h5") as opened:
        yield opened
