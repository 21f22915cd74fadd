"""The ring file: records in order, freed in order, readable by whoever opens it later."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import DataExporter, SpikeIndices
from recorder.errors import DamagedError
from recorder.ring.arena import Ring
from recorder.ring.record import ROWS, START
from recorder.ring.tables import Field, Table


def table(rows: int, heap: int = 0) -> Table:
    return Table(
        "main", rows, (Field("head", [["timestep", "<i8"], ["x", "<f8"]]), Field("v", "<f4", (3,))), heap
    )


def test_a_record_is_read_back_from_the_file(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "ring", 1 << 20)
    record = ring.append(ROWS, {"streams": {"x": 1}}, (table(10, heap=100),))
    assert record is not None
    main = record.tables["main"]
    main.columns["head"]["timestep"][:4] = [5, 6, 7, 8]
    main.columns["v"][3] = [1, 2, 3]
    main.heap[:3] = [7, 8, 9]
    main.count = 4

    again = Ring.open(tmp_path / "ring").record(0)
    assert again.meta["streams"] == {"x": 1}
    assert again.tables["main"].count == 4
    assert again.tables["main"].columns["head"]["timestep"][:4].tolist() == [5, 6, 7, 8]
    assert again.tables["main"].columns["v"][3].tolist() == [1, 2, 3]
    assert again.tables["main"].heap[:3].tolist() == [7, 8, 9]
    assert not again.sealed
    record.seal()
    assert again.sealed


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 3)), min_size=1, max_size=60),
    st.integers(0, 5000),
)
def test_records_never_overlap_and_are_freed_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int]], state_size: int
) -> None:
    path = tmp_path_factory.mktemp("ring") / "ring"
    ring = Ring.create(path, 1 << 15)
    alive: deque[tuple[int, int]] = deque()
    put: list[int] = []
    for number, (rows, finish) in enumerate(steps):
        record = ring.append(ROWS, {"n": number}, (table(rows),))
        if record is not None:
            assert record.seq == ring.published - 1
            record.tables["main"].columns["head"]["timestep"][:] = record.seq
            record.tables["main"].count = rows
            alive.append((record.seq, rows))
            put.append(rows)
        for _ in range(min(finish, len(alive))):
            seq, _ = alive.popleft()
            ring.finish(seq + 1, bytes([seq % 256]) * (state_size // (seq % 3 + 1)))
        reader = Ring.open(path)
        assert reader.finished == ring.finished
        if reader.finished:
            done = reader.finished - 1
            assert reader.state() == bytes([done % 256]) * (state_size // (done % 3 + 1))
        assert reader.gone <= reader.finished
        for seq in range(reader.gone, reader.published):
            found = reader.record(seq).tables["main"]
            assert found.count == put[seq]
            assert (found.columns["head"]["timestep"] == seq).all()
        reader.close(unlink=False)
    ring.close(unlink=True)
    assert not path.exists()


def test_a_full_ring_says_so_and_has_room_again(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "ring", 1 << 14)
    records = []
    while (record := ring.append(ROWS, {}, (table(50),))) is not None:
        records.append(record)
    assert len(records) >= 3
    ring.finish(1, b"state")
    assert ring.append(START, {"start": {}}) is not None


@pytest.mark.parametrize("waiting", [0, 1, 2])
def test_finished_records_stay_for_a_lap(tmp_path: Path, waiting: int) -> None:
    """Who reads along may still copy them; a lap is a quarter of the arena."""
    ring = Ring.create(tmp_path / "ring", 1 << 20)
    reader = Ring.open(tmp_path / "ring")
    places = set()
    for number in range(1, 200):
        record = ring.append(ROWS, {}, (table(1000),))
        assert record is not None
        places.add(int(ring._directory[record.seq]))
        assert reader.gone <= max(0, number - (1 << 18) // record.length)
        if number > waiting:
            ring.finish(number - waiting, b"")
    assert reader.gone > 150
    assert max(places) + record.length <= 1 << 18


def test_of_very_small_records_as_many_stay_as_have_a_place_in_the_directory(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "ring", 1 << 24)
    reader = Ring.open(tmp_path / "ring")
    for number in range(10_000):
        assert ring.append(START, {"number": number}) is not None
        ring.finish(number + 1, b"")
        assert reader.record(reader.gone).meta["number"] == reader.gone
    assert 10_000 - reader.gone == 4096


def test_the_ring_of_a_writer_that_does_not_say_what_is_gone(tmp_path: Path) -> None:
    ring = Ring.create(tmp_path / "ring", 1 << 20)
    for number in range(3):
        ring.append(START, {"number": number})
    ring.finish(2, b"")
    assert ring.gone == 0
    ring._words[6] = 0
    assert ring.gone == 2


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    ring = Ring.create(path, 1 << 15)
    ring.append(START, {"start": {"episode_id": 3}})
    ring.append(START, {"start": {"episode_id": 4}})
    ring.finish(1, b"the state")
    raw = bytearray(path.read_bytes())

    def broken(change: bytes, at: int) -> Ring:
        copy = bytearray(raw)
        copy[at : at + len(change)] = change
        path.with_name("broken").write_bytes(copy)
        return Ring.open(path.with_name("broken"))

    with pytest.raises(DamagedError, match="no ring"):
        broken(b"NOTARING", 0)
    with pytest.raises(DamagedError, match="version"):
        broken(np.uint32(99).tobytes(), 8)
    at = raw.index(b'"episode_id":4')
    with pytest.raises(DamagedError, match="checksum"):
        broken(b'"episode_id":5', at).record(1)
    at = raw.index(b"the state")
    with pytest.raises(DamagedError, match="state"):
        broken(b"THE state", at).state()
    path.write_bytes(raw[:100])
    with pytest.raises(DamagedError):
        Ring.open(path)


def test_a_record_that_is_kept_says_what_stands_in_the_ring(tmp_path: Path) -> None:
    """The writer takes records as they were put; a repair takes them apart anew."""
    with DataExporter(
        "run", tmp_path, {"v": 3, "w": 1}, ring_bytes=1 << 24, precision={"v": 0.5}, n_neurons=4
    ) as exporter:
        for _ in range(2):
            exporter.start_episode()
            for step in range(5):
                exporter.log(step, {"v": np.ones(2), "w": 1.5}, SpikeIndices([step % 4], 4), {"x": 1j}, 0.5)
            exporter.log(5, synapse_id=(1, 2), old_weight=0.0, new_weight=1.0)
            exporter.log(6, event_type="cue", data={"a": (1, 2)})
            exporter.end_episode(summary={"list": [1, 2.5], 3: None})
        ring = exporter._writer.ring
        again = Ring.open(ring.path)
        for seq in range(ring.published):
            assert again.record(seq).meta == ring.record(seq).meta
        assert ring.published > 5
        again.close(unlink=False)
