"""The writer goes on while it is read along: what it is done with comes from the ring, or else the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders.live import following as following_module
from loaders.live.following import Following
from recorder import DataExporter
from recorder.h5 import pieces as ring_module
from tests.comparing import assert_same
from tests.live.gathering import Gathered, stored

pytestmark = pytest.mark.usefixtures("each_hot_path")

NEURONS = 40
SMALL = 1 << 20
"""Bytes of a ring in which a few thousand steps are a lap."""


def call(step: int) -> dict[str, Any]:
    given: dict[str, Any] = {
        "timestep": step,
        "neural_state": {"v": np.full(NEURONS, 0.5 + step)},
        "spikes": np.arange(NEURONS) % 11 == step % 11,
        "behavior": {"x": step + 0.25},
        "reward": float(step // 10),
    }
    return given | ({"event_type": "a", "data": {"step": step}} if step % 50 == 0 else {})


@pytest.mark.parametrize("eager", [False, True])
def test_a_flush_sends_nobody_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eager: bool
) -> None:
    """Blocks are written, and episodes end, between two looks."""
    gathered = Gathered()
    with DataExporter("run", tmp_path, 3, enable_swmr=eager, flush_interval=1e6) as exporter:
        following = Following(exporter.h5_path, history=True)
        gathered.add(following.take())
        monkeypatch.setattr(following_module, "present", None)
        for _ in range(3):
            exporter.start_episode()
            for step in range(300):
                exporter.log(**call(step))
                if step % 70 == 0:
                    exporter.flush()
                if step % 100 == 0:
                    gathered.add(following.take())
            exporter.end_episode(success=True)
        gathered.add(following.take())
        following.close()
    assert_same(gathered.contents(), stored(exporter.h5_path))


@pytest.mark.parametrize("meanwhile", [1, 100, 1_000, 20_000])
def test_the_writer_goes_on_while_rows_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: int
) -> None:
    """Up to many laps in the midst of a copy, before and after a table: no row is torn, missing or twice."""
    gathered, real, logged = Gathered(), ring_module._copy, iter(range(10_000, 1_000_000))
    with DataExporter("run", tmp_path, 1, ring_bytes=SMALL, enable_swmr=True, flush_interval=1e6) as exporter:
        exporter.start_episode()
        for step in range(10_000):
            exporter.log(**call(step))
        copies = iter(range(8))

        def slow(*arguments: Any) -> Any:
            turn = next(copies, None)
            copied = None if turn is None or turn % 2 else real(*arguments)
            if turn is not None:
                for _ in range(meanwhile):
                    exporter.log(**call(next(logged)))
            return real(*arguments) if copied is None else copied

        following = Following(exporter.h5_path, history=True)
        gathered.add(following.take())
        monkeypatch.setattr(ring_module, "_copy", slow)
        for _ in range(20):
            for _ in range(200):
                exporter.log(**call(next(logged)))
            gathered.add(following.take())
        exporter.end_episode(success=True)
    while not following.over:
        gathered.add(following.take())
    following.close()
    assert next(copies, None) is None
    assert_same(gathered.contents(), stored(exporter.h5_path))
