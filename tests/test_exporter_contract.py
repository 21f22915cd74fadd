"""The fast exporter under the contract that both exporters pass, on its thread and on the caller's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from recorder import DataExporter
from tests.contracts.exporter_contract import ExporterContract, record  # noqa: F401


class TestDataExporter(ExporterContract):
    """``async_write`` as it is by default."""

    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def make_exporter(self, tmp_path: Path) -> Any:
        return lambda experiment_name="run", **options: DataExporter(
            experiment_name, tmp_path, **{"ring_bytes": 1 << 20, **self.options, **options}
        )


class TestDataExporterInline(TestDataExporter):
    """The caller's thread writes."""

    options: ClassVar[dict[str, Any]] = {"async_write": False}
