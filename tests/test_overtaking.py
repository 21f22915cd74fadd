"""A block is encoded while the one before it is stored: what is in the file never depends on that."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import DataExporter, StandardDataExporter, WriteError
from recorder.h5.repair import repair
from recorder.h5.sink import Sink
from recorder.h5.streams.column import Column
from tests.comparing import assert_same, contents
from tests.killed import as_killed

pytestmark = pytest.mark.usefixtures("each_hot_path")

NEURONS = 5
STREAMS = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 120),
        "keys": st.sets(st.sampled_from(["x", "y"])),
        "spikes": st.booleans(),
        "weight": st.booleans(),
    }
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every block is a few rows, and is written as soon as it is full."""
    for name in ("recorder.sizes.FIRST_BLOCK", "recorder.sizes.LARGEST_BLOCK"):
        monkeypatch.setattr(name, 1 << 11)
    monkeypatch.setattr("recorder.writer.ENOUGH", 1)
    monkeypatch.setattr("recorder.writer.AHEAD", True)


def call(step: int, streams: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {"timestep": step, "reward": float(step // 50)}
    given["neural_state"] = {"v": np.arange(NEURONS) * 0.5 + step}
    if streams["keys"]:
        given["behavior"] = dict.fromkeys(sorted(streams["keys"]), step * 0.25)
    if streams["spikes"]:
        given["spikes"] = np.arange(NEURONS) % 4 == step % 4
    if streams["weight"] and step % 9 == 0:
        given |= {"synapse_id": step, "old_weight": 0.0, "new_weight": 1.0}
    return given


def record(exporter: Any, calls: list[dict[str, Any]], *, success: bool = True) -> None:
    exporter.start_episode()
    for one in calls:
        exporter.log(**one)
    exporter.end_episode(success=success)
    exporter.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=12)
@given(st.lists(STREAMS, min_size=1, max_size=5), st.floats(0, 1))
def test_what_is_stored_is_what_was_logged(segments: list[dict[str, Any]], share: float) -> None:
    calls = [streams for streams in segments for _ in range(streams["rows"])]
    calls = [call(step, streams) for step, streams in enumerate(calls)]
    killed_at = round(share * len(calls))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        exporter = DataExporter("fast", path, 7, chunk_size=10)
        exporter.start_episode()
        for step, one in enumerate(calls):
            if step == killed_at:
                killed = as_killed(exporter, path / "killed")
            exporter.log(**one)
        exporter.end_episode(success=True)
        exporter.close()
        with StandardDataExporter("plain", path, 7) as plain:
            record(plain, calls)
        assert_same(contents(exporter.h5_path), contents(plain.h5_path))
        if killed_at < len(calls):
            repair(killed)
            with StandardDataExporter("prefix", path, 7) as prefix:
                record(prefix, calls[:killed_at])
            found, wanted = contents(killed), contents(prefix.h5_path)
            for part in ("neural", "behavior", "spikes", "rewards", "weights"):
                assert_same(found[0][part], wanted[0][part])


def test_blocks_do_overtake(tmp_path: Path) -> None:
    admitted = []
    real = Sink.admits

    def admits(self: Sink, records: Any) -> bool:
        admitted.append(real(self, records))
        return admitted[-1]

    streams = {"keys": {"x"}, "spikes": True, "weight": False}
    with mock.patch.object(Sink, "admits", admits):
        record(DataExporter("run", tmp_path, chunk_size=10), [call(step, streams) for step in range(500)])
    assert sum(admitted) > 5


def test_a_failed_write_loses_neither_block(tmp_path: Path) -> None:
    """The second of two is fed and encoded as the first one fails."""
    streams = {"keys": {"x"}, "spikes": True, "weight": False}
    exporter = DataExporter("run", tmp_path, chunk_size=10)
    exporter.start_episode()
    logged = 0
    for logged in range(300):
        exporter.log(**call(logged, streams))
    with (
        mock.patch.object(Column, "drain", side_effect=OSError(5, "I/O error")),
        pytest.raises(WriteError),
    ):
        for logged in range(300, 1000):
            exporter.log(**call(logged, streams))
    with pytest.raises(WriteError):
        exporter.close()
    repair(exporter.h5_path)
    steps = contents(exporter.h5_path)[0]["behavior"]["timesteps"]
    # The call that was told of the error may have been stored or not; those before it were.
    assert len(steps) >= logged
    assert np.array_equal(steps, np.arange(len(steps)))
