"""One recording for all adapters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_recording import record

from loaders import ExperimentLoader


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("interchange"))


@pytest.fixture
def experiment(recording: Path) -> Iterator[ExperimentLoader]:
    with ExperimentLoader(recording) as loader:
        yield loader
