"""Counts of what a policy dropped: by stream, one episode at a time, in the ring's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from recorder.errors import DamagedError
from recorder.ring.arena import Ring
from recorder.ring.drops import OTHERS


def test_counts_are_read_by_whoever_opens_the_ring(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "ring", 1 << 16)
    assert ring.drops.of(0) == {}
    ring.drops.add(0, [("neural_states/v", 1), ("behavior/größe", 2)])
    ring.drops.add(0, [("behavior/größe", 40)])
    assert Ring.open(tmp_path / "ring").drops.of(0) == {"neural_states/v": 1, "behavior/größe": 42}
    ring.drops.add(7, [("rewards", 1)])
    again = Ring.open(tmp_path / "ring")
    assert (again.drops.of(7), again.drops.of(0)) == ({"rewards": 1}, {})


def test_what_finds_no_room_is_counted_together(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "ring", 1 << 16)
    names = [f"behavior/{'k' * 200}{n:05}" for n in range(1000)]
    for _ in range(2):
        ring.drops.add(3, [(name, 1) for name in names])
    found = Ring.open(tmp_path / "ring").drops.of(3)
    assert sum(found.values()) == 2000
    assert found.pop(OTHERS) == 2000 - 2 * len(found)
    assert list(found) == names[: len(found)]


def test_a_ring_from_before_the_counts_has_none(tmp_path: Path) -> None:
    Ring.create(tmp_path / "ring", 1 << 16).drops.add(0, [("rewards", 1)])
    raw = bytearray((tmp_path / "ring").read_bytes())
    raw[200:208] = bytes(8)
    (tmp_path / "old").write_bytes(raw)
    assert Ring.open(tmp_path / "old").drops.of(0) == {}
    raw[200] = 1
    (tmp_path / "wrong").write_bytes(raw)
    with pytest.raises(DamagedError):
        Ring.open(tmp_path / "wrong")
