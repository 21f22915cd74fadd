"""Two recordings: what differs is named with place and size, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from loaders import ExperimentLoader
from loaders.comparing import episodes as episodes_module
from loaders.comparing.recordings import PARTS, differences
from recorder import DataExporter, StandardDataExporter
from recorder.cli import cli
from tests.test_reference_recordings import DATA

Step = dict[str, Any]


def steps(episode: int) -> list[Step]:
    rng = np.random.default_rng(episode)
    made: list[Step] = []
    for t in range(300):
        made.append(
            {
                "timestep": t,
                "neural_state": {"v": np.where(rng.random(4) < 0.01, np.nan, rng.random(4))},
                "spikes": rng.random(6) < 0.1,
                "behavior": {"x": float(t), "late": t} if t > 50 else {"x": float(t)},
                "reward": rng.random(),
            }
        )
        if t % 40 == 0:
            made.append({"timestep": t, "event_type": "e", "data": {"k": [t, {"n": None}]}})
            made.append({"timestep": t, "synapse_id": (1, t), "old_weight": 0.0, "new_weight": rng.random()})
    return made


def write(
    folder: Path, name: str, change: Callable[[int, list[Step]], None] | None = None, plain: bool = False
) -> Path:
    exporter: Any = (StandardDataExporter if plain else DataExporter)(name, folder, neural_sampling_rate=2)
    with exporter:
        exporter.save_config({"lr": 0.1, "net": {"n": 4}})
        exporter.save_network_structure({"neuron_ids": np.arange(6)}, {"source_ids": [0], "target_ids": [1]})
        for episode in range(2):
            exporter.start_episode()
            logged = steps(episode)
            if change is not None:
                change(episode, logged)
            for step in logged:
                exporter.log(**step)
            exporter.log_static_episode_data("world", {"goal": np.arange(3)})
            exporter.end_episode(success=True, summary={"score": 1.0})
        exporter.save_checkpoint("end", {"w": np.arange(4)})
    return Path(exporter.h5_path)


def found(a: Path, b: Path, parts: tuple[str, ...] = PARTS) -> list[str]:
    with ExperimentLoader(a) as one, ExperimentLoader(b) as other:
        return [str(difference) for difference in differences(one, other, parts=parts)]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("first"), "run")


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes_module, "ROWS", 100)


def test_the_same_steps_are_the_same_data_whoever_wrote_them(first: Path, tmp_path: Path) -> None:
    assert found(first, write(tmp_path, "run")) == []
    assert found(first, write(tmp_path, "plain", plain=True), ("data", "configuration", "code")) == []
    assert found(first, first) == []


def _value(episode: int, logged: list[Step]) -> None:
    if episode == 1:
        for step in logged:
            if step["timestep"] in (100, 200) and "reward" in step:
                step["reward"] += 0.25
                step["neural_state"]["v"] = np.full(4, np.nan)


def _dtype(_: int, logged: list[Step]) -> None:
    for step in logged:
        if "behavior" in step:
            step["behavior"]["x"] = np.float32(step["behavior"]["x"])


def _missing(episode: int, logged: list[Step]) -> None:
    if episode == 0:
        del logged[-50:]
        logged[0]["spikes"] = np.ones(6, bool)


def _events(_: int, logged: list[Step]) -> None:
    for step in logged:
        if step["timestep"] == 120 and "data" in step:
            step["data"]["k"][0] = -1


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (
            _value,
            ["episode 1/neural_states/v", "first at timestep 100, 2", "0.25 apart", "episode 1/rewards"],
        ),
        (_dtype, ["episode 0/behavior/x", "float64 () | float32 ()"]),
        (_missing, ["episode 0/rewards", "300 and", "episode 0/spikes", "first at timestep 0"]),
        (_events, ["episode 0/events", "first at timestep 120, 1", "episode 1/events"]),
    ],
)
def test_what_was_changed_is_named(
    first: Path, tmp_path: Path, change: Callable[[int, list[Step]], None], wanted: list[str]
) -> None:
    lines = found(first, write(tmp_path, "run", change))
    for text in wanted:
        assert any(text in line for line in lines), (text, lines)
    assert all(line.startswith("data: episode") for line in lines)
    touched = {line.split(": ")[1].split("/")[0].split(".")[0] for line in lines}
    assert touched == ({"episode 1"} if change is _value else {"episode 0"}) or change in (_dtype, _events)


def test_configuration_episodes_and_checkpoints(first: Path, tmp_path: Path) -> None:
    with DataExporter("other", tmp_path) as exporter:
        exporter.save_config({"lr": 0.2, "net": {"n": 4}, "new": [1]})
        exporter.start_episode(7)
    lines = found(first, exporter.h5_path)
    for text in (
        "configuration: lr: 0.1 | 0.2",
        "configuration: new: absent | [1]",
        "data: episode 0: 'there' | absent",
        "data: episode 7: absent | 'there'",
        "metadata: experiment_name: 'run' | 'other'",
    ):
        assert text in lines
    assert any(line.startswith("data: checkpoints.end 1") for line in lines)
    with pytest.raises(ValueError, match="parts are"):
        found(first, first, ("colour",))


def test_recordings_of_the_original_system_are_compared_as_well() -> None:
    names = ("snn_optimized_a", "snn_standard_a")
    one, other = (next(DATA.glob(f"{name}/*/experiment_data.h5")) for name in names)
    assert found(one, one) == []
    assert any("episode 2: 'there' | absent" in line for line in found(one, other))


def test_the_command(first: Path, tmp_path: Path) -> None:
    def diff(*arguments: Any) -> Any:
        return CliRunner().invoke(cli, ["diff", *map(str, arguments)])

    assert (diff(first, first).exit_code, diff(first, first).output) == (0, "nothing differs\n")
    other = write(tmp_path, "run", _value)
    shown = diff(first, other, "--only", "data")
    assert shown.exit_code == 1
    assert "episode 1/rewards" in shown.output
    assert diff(first, other, "--only", "configuration").exit_code == 0
    quiet = diff(first, other, "--quiet")
    assert (quiet.exit_code, quiet.output) == (1, "")


def _with_states(folder: Path, name: str, points: list[dict[str, Any] | None]) -> Path:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    with DataExporter(name, folder) as exporter:
        for generators in points:
            exporter.save_checkpoint("point", {"w": np.arange(4)}, generators=generators)
    return Path(exporter.h5_path)


def test_random_generators_in_another_state_are_named_by_checkpoint(tmp_path: Path) -> None:
    def generators(seed: int = 1, drawn: int = 0) -> dict[str, Any]:
        moved = np.random.default_rng(2)
        moved.random(drawn)
        return {
            "net": np.random.default_rng(seed),
            "env": moved,
            "old": np.random.RandomState(3),
            "py": random.Random(4),
        }

    first = _with_states(tmp_path, "first", [generators(), generators(), None])
    again = _with_states(tmp_path, "first", [generators(), generators(), None])
    assert not [one for one in compared(first, again) if one.startswith(("random", "data"))]
    mixed = {**generators(drawn=1), "net": np.random.Generator(np.random.MT19937(1))}
    del mixed["py"]
    other = _with_states(tmp_path, "first", [generators(seed=2), mixed, generators()])
    assert [one for one in compared(first, other) if one.startswith(("random", "data"))] == [
        "random: checkpoints.point 1.net: 'its state' | 'another'",
        "random: checkpoints.point 2.net: 'numpy PCG64' | 'numpy MT19937'",
        "random: checkpoints.point 2.env: 'its state' | 'another'",
        "random: checkpoints.point 2.py: 'python' | absent",
        "random: checkpoints.point 3: absent | 'states'",
    ]


def test_global_generators_are_compared_and_called_so(tmp_path: Path) -> None:
    first = _with_states(tmp_path, "first", [{}])
    with DataExporter("first", tmp_path) as exporter:
        random.seed(1)
        np.random.seed(2)  # noqa: NPY002
        exporter.save_checkpoint("point", {"w": np.arange(4)}, generators={})
    found = [one for one in compared(first, Path(exporter.h5_path)) if one.startswith("random")]
    assert found == [
        "random: checkpoints.point 1, global numpy: 'its state' | 'another'"
        "  (the library's own, for draws without a generator)"
    ]
    result = CliRunner().invoke(cli, ["diff", str(first), str(exporter.h5_path), "--only", "random"])
    assert (result.exit_code, result.output.splitlines()) == (1, found)


def compared(a: Path, b: Path) -> list[str]:
    with ExperimentLoader(a) as one, ExperimentLoader(b) as other:
        return [str(difference) for difference in differences(one, other)]
