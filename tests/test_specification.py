"""The file specification: its examples run, on golden recordings, and give what was recorded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.test_golden import GOLDEN, Expected, assert_same

SPECIFICATION = Path(__file__).parents[1] / "recorder" / "format" / "README.md"


def blocks() -> list[str]:
    """All Python of the specification."""
    return re.findall(r"^```python\n(.*?)^```$", SPECIFICATION.read_text("utf-8"), re.M | re.S)


def run(name: str) -> dict[str, Any]:
    """Every example, one after the other, on a golden recording."""
    with h5py.File(GOLDEN / name / "experiment_data.h5", "r") as file:
        names: dict[str, Any] = {"f": file}
        for number, block in enumerate(blocks()):
            exec(compile(block, f"example {number} of the specification", "exec"), names)
    return names


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return run("full_optimized")


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    return Expected(GOLDEN / "full_optimized").found


def test_there_is_an_example_for_every_kind_of_data() -> None:
    assert len(blocks()) == 10


def test_streams(found: dict[str, Any], given: dict[str, Any]) -> None:
    steps, values = given["episodes"][0]["streams"]["behavior/x"]
    assert_same(found["t"], steps)
    assert_same(found["x"], values)


def test_a_part_of_a_stream(found: dict[str, Any], given: dict[str, Any]) -> None:
    steps, values = given["episodes"][0]["streams"]["behavior/x"]
    assert_same(found["some"], values[(steps >= 150) & (steps < 160)])


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(("start", "stop"), [(-50, -20), (-31, 1), (3, 77), (138, 10**6), (9, 9), (10, 5)])
def test_rows_between_timesteps(number: int, start: int, stop: int) -> None:
    names: dict[str, Any] = {}
    block = next(text for text in blocks() if "rows_between" in text)
    exec(block.partition("\n\n\nsome")[0], {"np": np}, names)
    with h5py.File(GOLDEN / "clocks_optimized" / "experiment_data.h5", "r") as file:
        clock = file[f"episodes/episode_{number:04d}/behavior/timesteps"]
        inside = np.flatnonzero((clock[:] >= start) & (clock[:] < stop))
        assert list(names["rows_between"](clock, start, stop)) == inside.tolist()


def test_spikes(found: dict[str, Any], given: dict[str, Any]) -> None:
    steps, pairs, _ = given["episodes"][0]["spikes"]
    spikes = zip(found["timesteps"].tolist(), found["neurons"].tolist(), strict=True)
    assert list(spikes) == [(steps[row], neuron) for row, neuron in pairs]


def test_a_part_of_the_spikes(found: dict[str, Any], given: dict[str, Any]) -> None:
    rows = range(found["first"], found["last"])
    wanted = [
        row * int(found["n"]) + neuron for row, neuron in given["episodes"][0]["spikes"][1] if row in rows
    ]
    assert found["part"].tolist() == wanted != []


def test_rewards(found: dict[str, Any], given: dict[str, Any]) -> None:
    assert_same((found["reward_timesteps"], found["rewards"]), given["episodes"][0]["rewards"])


def test_events(found: dict[str, Any], given: dict[str, Any]) -> None:
    assert [event["type"] for event in found["events"]] == [
        kind for _, kind, _ in given["episodes"][0]["events"]
    ]
    assert found["events"][0]["data"]["n"] == 2**63


def test_documents_and_weights(found: dict[str, Any], given: dict[str, Any]) -> None:
    assert found["config"]["name"] == given["config"]["name"]
    assert found["config"]["tuple"] == {"$tuple": [1, {"$tuple": [2, "b"]}]}
    assert found["summary"] is None
    assert_same(found["dense"], given["weights"])


@pytest.mark.parametrize("name", ["interrupted_optimized", "spikes_optimized"])
def test_examples_of_spikes_fit_other_recordings(name: str) -> None:
    """Anchors, values and summaries in attributes and datasets alike."""
    wanted = Expected(GOLDEN / name).found["episodes"][0]
    block = next(text for text in blocks() if "gaps" in text)
    with h5py.File(GOLDEN / name / "experiment_data.h5", "r") as file:
        episode = file["episodes/episode_0000"]
        names = {"episode": episode, "np": np, "json": json}
        exec(block, names)
        assert len(names["neurons"]) == len(wanted["spikes"][1])
        exec(next(text for text in blocks() if "def document" in text), names | {"f": file})
        assert episode["spikes/values"].shape == names["neurons"].shape
