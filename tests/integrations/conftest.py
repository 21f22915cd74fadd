"""What tests of integrations log into, and a card that is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder import DataExporter
from tests.integrations.card import Card


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[DataExporter]:
    with DataExporter("integrated", str(tmp_path), neural_sampling_rate=1, ring_bytes=1 << 20) as exporter:
        yield exporter


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    """Stands for torch with a GPU: Staged looks for it among the modules that are imported."""
    card = Card()
    monkeypatch.setitem(sys.modules, "torch", card)
    return card
