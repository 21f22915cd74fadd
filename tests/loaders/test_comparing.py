"""Two recordings: what differs is named with place and size, and nothing else is."""

from __future__ import annotations

import copy
import math
import random
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from loaders import ExperimentLoader
from loaders.comparing import streams as streams_module
from loaders.comparing.difference import same, unequal
from loaders.comparing.recordings import PARTS, differences
from recorder import DataExporter, SpikeIndices, StandardDataExporter
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
    monkeypatch.setattr(streams_module, "ROWS", 100)


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


def _made(folder: Path, body: Callable[[DataExporter], None], **config: Any) -> Path:
    with DataExporter("same", folder, neural_sampling_rate=1, validate_data=False) as exporter:
        exporter.save_config(config)
        exporter.start_episode()
        body(exporter)
        exporter.end_episode()
    return Path(exporter.h5_path)


def _batches(*starts: int) -> Callable[[DataExporter], None]:
    def log(exporter: DataExporter) -> None:
        for start in starts:
            steps = np.arange(start, start + 150)
            exporter.log_batch(
                steps, behavior={"x": steps / 2}, reward=steps * 1.0, spikes=steps[:, None] % 3 == range(3)
            )

    return log


def _events_from(*starts: int) -> Callable[[DataExporter], None]:
    def log(exporter: DataExporter) -> None:
        for start in starts:
            for t in range(start, start + 150):
                exporter.log(timestep=t, event_type="k", data={"t": t})
                exporter.log(timestep=t, synapse_id=1, old_weight=0.0, new_weight=float(t))

    return log


def test_the_same_rows_in_another_order_differ(tmp_path: Path) -> None:
    one, other = (_made(tmp_path, _batches(*starts)) for starts in ((0, 150), (150, 0)))
    assert found(other, other, ("data",)) == []
    lines = found(one, other, ("data",))
    for name in ("behavior/x", "rewards", "spikes", "spike rows"):
        assert any(line.startswith(f"data: episode 0/{name}:") for line in lines), name
    one, other = (_made(tmp_path, _events_from(*starts)) for starts in ((0, 150), (150, 0)))
    assert found(other, other, ("data",)) == []
    assert [line.split(":")[1] for line in found(one, other, ("data",))] == [
        " episode 0/weight_changes",
        " episode 0/events",
    ]


def test_which_of_two_rows_with_one_timestep_fired_is_compared(tmp_path: Path) -> None:
    def fired(row: int) -> Callable[[DataExporter], None]:
        raster = np.zeros((2, 3), bool)
        raster[row, 1] = True
        return lambda exporter: exporter.log_batch(np.array([5, 5]), spikes=raster)

    one, other = (_made(tmp_path, fired(row)) for row in (0, 1))
    assert [line.split(":")[1] for line in found(one, other, ("data",))] == [" episode 0/spikes"]


def test_where_one_lacks_a_row_the_first_difference_is_there(tmp_path: Path) -> None:
    def without(gap: int) -> Callable[[DataExporter], None]:
        steps = np.delete(np.arange(1000), [gap] if gap else [])
        return lambda exporter: exporter.log_batch(steps, behavior={"x": steps / 2})

    lines = found(_made(tmp_path, without(0)), _made(tmp_path, without(543)), ("data",))
    (line,) = [line for line in lines if "behavior/x" in line]
    assert "1,000 and 999 rows; first at timestep 543" in line
    count = int(line.partition("timestep 543, ")[2].partition(" ")[0])
    assert count <= streams_module.ROWS, "rows beyond the piece with the gap were compared one off"


@pytest.mark.parametrize("value", [complex(1, np.nan), complex(np.nan, 1)])
def test_complex_numbers_differ_in_the_part_that_is_a_number(tmp_path: Path, value: complex) -> None:
    def log(exporter: DataExporter, z: complex) -> None:
        exporter.log_batch(np.arange(4), behavior={"z": np.full(4, z)})

    one = _made(tmp_path, lambda exporter: log(exporter, value), z=value)
    other = _made(tmp_path, lambda exporter: log(exporter, value + 776 * (1 if value.real == 1 else 1j)))
    assert found(one, one) == []
    assert any(line.startswith("data: episode 0/behavior/z") for line in found(one, other, ("data",)))


def test_what_spikes_were_logged_as_is_compared(tmp_path: Path) -> None:
    eye = np.eye(4, dtype=bool)

    def indices(exporter: DataExporter) -> None:
        for t in range(4):
            exporter.log(timestep=t, spikes=SpikeIndices([t], n_neurons=4))

    one = _made(tmp_path, lambda exporter: exporter.log_batch(np.arange(4), spikes=eye))
    other = _made(tmp_path, indices)
    assert found(one, other, ("data",)) == ["data: episode 0/spikes.dtype: 'bool' | 'indices'"]
    silent = [
        _made(
            tmp_path, lambda exporter, d=dtype: exporter.log_batch(np.arange(4), spikes=np.zeros((4, 4), d))
        )
        for dtype in (bool, np.float32)
    ]
    assert "data: episode 0/spikes.dtype: 'bool' | 'float32'" in found(*silent, ("data",))


UTC, CET = timezone.utc, timezone(timedelta(hours=1))  # noqa: UP017


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({1.0}, {1}),
        ({True, "a"}, {1, "a"}),
        ({1: "x"}, {True: "x"}),
        ({(1, 2.0): 0}, {(1, 2): 0}),
        ([frozenset({1})], [frozenset({1.0})]),
        (np.datetime64("2020-01-01", "D"), np.datetime64("2020-01-01", "s")),
        (np.datetime64("NaT", "D"), np.datetime64("NaT", "s")),
        (complex(math.nan, 1), complex(math.nan, 2)),
        (np.complex64(complex(1, math.nan)), np.complex64(complex(2, math.nan))),
        (datetime(2020, 1, 1, 12, tzinfo=UTC), datetime(2020, 1, 1, 13, tzinfo=CET)),
        (np.array([1, "a"], object), np.array([True, "a"], object)),
        (np.array([(1, math.nan)], "i4,f4"), np.array([(2, math.nan)], "i4,f4")),
        ({"a": ("b",)}, {"a": ("a, 'b'",)}),
    ],
)
def test_values_that_python_calls_equal_or_not_itself_are_told_apart(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert same(one, copy.deepcopy(one))
    assert same(other, copy.deepcopy(other))
    assert len(list(unequal("configuration", "", {"k": one}, {"k": other}))) >= 1
    assert not list(unequal("configuration", "", {"k": one}, {"k": copy.deepcopy(one)}))


def test_when_a_checkpoint_was_saved_is_compared_by_episodes(tmp_path: Path) -> None:
    def saved_after(*episodes: int) -> Path:
        with DataExporter("same", tmp_path) as exporter:
            for episode in range(3):
                exporter.start_episode()
                exporter.end_episode()
                if episode in episodes:
                    exporter.save_checkpoint("c", {"w": episode in (0, 1)})
        return Path(exporter.h5_path)

    first = saved_after(0)
    assert found(first, saved_after(0)) == []
    assert found(first, saved_after(1)) == ["data: checkpoints.c 1, episodes so far: 1 | 2"]
    twice = saved_after(0, 2)
    with h5py.File(twice, "r+") as file:  # past midnight, names are no longer in the order of time
        points = file["checkpoints"]
        for number, name in enumerate(sorted(points)):
            points.move(name, f"c_{'235959' if number == 0 else '000001'}")
    assert not [line for line in found(saved_after(0, 2), twice) if "checkpoints" in line]


def test_events_of_the_original_system_outside_its_streams_are_compared(tmp_path: Path) -> None:
    source = next(DATA.glob("snn_optimized_a/*/experiment_data.h5"))
    for number, copied in enumerate(("a.h5", "b.h5")):
        shutil.copy(source, tmp_path / copied)
        (tmp_path / copied).chmod(0o644)
        with h5py.File(tmp_path / copied, "r+") as file:
            names: list[str] = []
            file.visit(names.append)
            steps = next(name for name in names if "/events/" in name and name.endswith("timesteps"))
            file[steps][-1] = 10**9 + number
    lines = found(tmp_path / "a.h5", tmp_path / "b.h5", ("data",))
    assert [line for line in lines if "/events" in line]
    assert found(tmp_path / "a.h5", tmp_path / "a.h5") == []
