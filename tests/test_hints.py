"""What the writer says of timesteps is what they are, whether an episode ended or was brought back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import DataExporter
from recorder.format.course import Course
from recorder.h5.chunking import Chunking
from recorder.h5.repair import repair
from recorder.h5.streams.clock import ClockColumn, restored
from recorder.h5.verify import verify
from tests.killed import as_killed

CHUNK = 64
NAMES = {"first", "step", "sorted"}


def clocks(path: Path) -> Iterator[tuple[str, Any, dict[str, Any], int]]:
    """Path, values, what is said of them, and rows of a chunk, of all timesteps in a file."""
    with h5py.File(path, "r") as file:
        found: list[Any] = []
        file.visititems(lambda name, thing: found.append((name, thing)))
        for name, thing in found:
            if isinstance(thing, h5py.Dataset) and name.endswith("timesteps"):
                said = {key: value.item() for key, value in thing.attrs.items() if key in NAMES}
                yield name, thing[:], said, thing.chunks[0]


def check(path: Path) -> dict[str, dict[str, Any]]:
    """Every attribute is right, and there where it belongs; returns them."""
    found = {}
    for name, values, said, chunk in clocks(path):
        of_stream = not name.rpartition("/")[0].endswith(("events", "weight_changes"))
        expected = Course.of(values).attributes() if of_stream and len(values) > chunk else {}
        assert said == expected, name
        found[name.partition("/")[2].partition("/")[2]] = said
    assert list(map(str, verify(path))) == []
    return found


def log(exporter: DataExporter, steps: Any, *, late: int = 10**9) -> None:
    for number, step in enumerate(steps):
        extra = {"late": 1.0} if number >= late else {}
        exporter.log(
            timestep=int(step),
            neural_state={"v": np.zeros(3)},
            spikes=np.arange(4) == step % 5,
            behavior={"x": 1.0, **extra},
            reward=0.5,
        )
        if number % 3 == 0:
            exporter.log(timestep=int(step), synapse_id=1, old_weight=0.0, new_weight=1.0)
            exporter.log(timestep=int(step), event_type="tick", data={})


def exporter_in(folder: Path, **options: Any) -> DataExporter:
    given = {"chunk_size": CHUNK, "ring_bytes": 1 << 20, "async_write": False, "neural_sampling_rate": 1}
    return DataExporter("hints", output_base_dir=str(folder), **{**given, **options})


STEPS = {
    "even": np.arange(3000) * 2 + 7,
    "repeats": np.arange(3000) // 2,
    "falls at the end": np.append(np.arange(2999), 5),
    "a gap in a later block": np.concatenate([np.arange(2500), np.arange(2600, 3100)]),
    "one chunk": np.arange(CHUNK),
    "one row more": np.arange(CHUNK + 1),
}


@pytest.mark.usefixtures("each_hot_path")
@pytest.mark.parametrize("name", STEPS)
def test_an_ended_episode_says_how_its_timesteps_go(name: str, tmp_path: Path) -> None:
    with exporter_in(tmp_path) as exporter:
        exporter.start_episode()
        log(exporter, STEPS[name])
        exporter.end_episode(success=True)
    said = check(exporter.h5_path)
    assert (
        said["behavior/timesteps"]
        == {
            "even": {"first": 7, "step": 2},
            "repeats": {"sorted": True},
            "falls at the end": {},
            "a gap in a later block": {"sorted": True},
            "one chunk": {},
            "one row more": {"first": 0, "step": 1},
        }[name]
    )


@pytest.mark.parametrize("late", [100, 2500])
def test_a_late_stream_says_it_of_its_own(late: int, tmp_path: Path) -> None:
    steps = np.append(np.arange(2400), np.arange(2500, 3100))
    with exporter_in(tmp_path) as exporter:
        exporter.start_episode()
        log(exporter, steps, late=late)
        exporter.end_episode(success=True)
    said = check(exporter.h5_path)
    assert said["behavior/timesteps"] == {"sorted": True}
    even = {"first": int(steps[late]), "step": 1}
    assert said["behavior/late_timesteps"] == (even if late > 2400 else {"sorted": True})


def test_a_stream_that_stops_says_it_of_the_rows_it_has(tmp_path: Path) -> None:
    with exporter_in(tmp_path) as exporter:
        exporter.start_episode()
        for step in [*range(2500), *range(2400, 3000)]:
            extra = {"y": 0.0} if step < 2500 and step != 2400 else {}
            exporter.log(timestep=step, behavior={"x": 0.0, **extra})
        exporter.end_episode(success=True)
    check(exporter.h5_path)


@pytest.mark.usefixtures("each_hot_path")
@pytest.mark.parametrize("name", ["even", "repeats", "falls at the end", "a gap in a later block"])
def test_a_repair_says_what_an_end_would_have_said(name: str, tmp_path: Path) -> None:
    steps, at = STEPS[name], [70, 1100, 2000, 2980]
    exporter = exporter_in(tmp_path / "whole")
    exporter.start_episode()
    before = 0
    for number in at:
        log(exporter, steps[before:number], late=0 if before else 10**9)
        before = number
        killed = as_killed(exporter, tmp_path / f"killed_{number}")
        assert repair(killed).status == "recovered"
        assert check(killed)["behavior/timesteps"] == Course.of(steps[:number]).attributes()
    log(exporter, steps[before:], late=0)
    killed = as_killed(exporter, tmp_path / "killed")
    exporter.end_episode(success=True)
    exporter.close()
    repair(killed)
    assert check(killed) == check(exporter.h5_path)


@given(
    st.lists(st.integers(-3, 6), max_size=40).map(np.cumsum) | st.integers(1, 40).map(np.arange),
    st.lists(st.integers(0, 40), max_size=5),
    st.sets(st.integers(0, 5)),
)
@settings(deadline=None)
def test_blocks_and_states_do_not_matter(steps: Any, cuts: list[int], kills: set[int]) -> None:
    """A column that is fed in any blocks, committed as it comes, and restored from its state now and then."""
    steps = np.asarray(steps, np.int64)
    column: Any = ClockColumn("a/timesteps", np.dtype(np.int64), (), 8, {})
    for number, block in enumerate(np.split(steps, sorted(min(cut, len(steps)) for cut in cuts))):
        column.push(block)
        whole = column.waiting // 8 * 8
        column._take(whole)
        column.committed, column.waiting = column.committed + whole, column.waiting - whole
        column.counter = 0 if column.committed else None
        if number in kills:
            state, rows = column.state(), column.waiting_rows()
            column = restored(state, memoryview(rows.tobytes()))
    fork = column.fork("a/late_timesteps")
    for one in (column, fork):
        one.end()
        assert one.attributes == (Course.of(steps).attributes() if len(steps) > 8 else {})


def test_a_state_from_before_says_nothing() -> None:
    column = ClockColumn("a/timesteps", np.dtype(np.int64), (), 8, {})
    column.push(np.arange(30))
    state = column.state()
    del state["course"]
    old = restored(state, memoryview(np.arange(30).tobytes()))
    old.push(np.arange(30, 50))
    old.end()
    assert (old.rows, old.attributes) == (50, {})


def test_short_episodes_stay_as_they_were() -> None:
    """Nothing is said of what fits a chunk, and nothing is learned of it."""
    column = ClockColumn("a/timesteps", np.dtype(np.int64), (), Chunking.of("gzip", 4, 100).chunk_rows(8), {})
    column.push(np.arange(99))
    assert column._course == Course()
    column.end()
    assert column.attributes == {}
