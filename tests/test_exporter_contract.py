"""The fast exporter under the contract that both exporters pass: each writer, each body of log()."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from recorder import DataExporter
from tests.contracts.exporter_contract import ExporterContract, record  # noqa: F401


@pytest.mark.usefixtures("each_hot_path")
class TestDataExporter(ExporterContract):
    """The caller's thread writes, which is the default."""

    options: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def make_exporter(self, tmp_path: Path) -> Any:
        return lambda experiment_name="run", **options: DataExporter(
            experiment_name, **{"output_base_dir": tmp_path, "ring_bytes": 1 << 20, **self.options, **options}
        )


class TestDataExporterThreaded(TestDataExporter):
    """A thread of its own writes."""

    options: ClassVar[dict[str, Any]] = {"async_write": True}
