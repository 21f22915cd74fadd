"""A stream has one source in an episode: two that count timesteps each for itself are never mixed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, InputError
from recorder.integrations.stepping import record_steps
from recorder.integrations.triggered import Triggered


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[DataExporter]:
    with DataExporter("sources", str(tmp_path), neural_sampling_rate=1, ring_bytes=1 << 20) as exporter:
        exporter.start_episode()
        yield exporter


def stored(exporter: DataExporter, episode: int = 0) -> dict[str, Any]:
    with ExperimentLoader(exporter.output_dir) as experiment:
        return {name: part.tolist() for name, part in experiment.get_episode(episode).get_behavior().items()}


def source(target: Any, name: str) -> Any:
    return record_steps(target)(lambda value: {"behavior": {name: value}})


def test_two_functions_do_not_share_a_stream(exporter: DataExporter) -> None:
    first, second, other = source(exporter, "x"), source(exporter, "x"), source(exporter, "y")
    for step in range(3):
        first(step)
        with pytest.raises(InputError, match=r"behavior/x: expected rows of record_steps of .*source"):
            second(step)
        with pytest.raises(InputError, match="as well"):
            source(Triggered(exporter, 1, 1), "x")(step)  # whatever stands before the exporter
        other(step)
    exporter.end_episode()
    exporter.start_episode()
    second(7)
    exporter.close()
    assert stored(exporter)["x"] == stored(exporter)["y"] == [0, 1, 2]
    assert stored(exporter, 1)["x"] == [7]


def test_a_key_that_comes_later_is_looked_at(exporter: DataExporter) -> None:
    rows: list[dict[str, Any]] = [{"spikes": [True]}, {"reward": 1.0}, {"neural_state": {"v": 1.0}}]
    for row in rows:
        record_steps(exporter)(lambda row=row: row)()
    late = record_steps(exporter)(lambda row: row)
    late({"behavior": {"b": 1.0}})
    for row, stream in zip(rows, ("spikes", "rewards", "neural_states/v"), strict=True):
        with pytest.raises(InputError, match=stream):
            late({"behavior": {"b": 1.0}, **row})
    late({"behavior": {"b": 2.0}, "reward": None})
    exporter.close()
    assert stored(exporter) == {"timesteps": [0, 1], "b": [1.0, 2.0]}


def test_what_a_source_logged_later_is_its_own(exporter: DataExporter) -> None:
    alone = record_steps(exporter)(lambda row: row)
    alone({"behavior": {"b": 1.0}})
    with pytest.raises(InputError):
        alone({"behavior": {"x": object()}})
    alone({"behavior": {"b": 2.0}, "reward": 1.0})
    with pytest.raises(InputError, match="rewards: expected rows"):
        record_steps(exporter)(lambda: {"reward": 1.0})()
    source(exporter, "x")(3)  # of which no row was stored
    exporter.close()
    assert stored(exporter)["x"] == [3]


def test_what_was_refused_leaves_the_stream_free(exporter: DataExporter) -> None:
    with pytest.raises(InputError):
        source(exporter, "x")(object())
    source(exporter, "x")(5)
    exporter.close()
    assert stored(exporter)["x"] == [5]


def test_timesteps_of_the_users_own_are_one_time(exporter: DataExporter) -> None:
    train, test = (record_steps(exporter)(lambda t: {"timestep": t, "reward": 1.0}) for _ in range(2))
    train(0)
    test(1)
    train(2)
    assert exporter.current_episode.timestep_count == 3


def test_two_hooked_networks_do_not_share_the_spikes(exporter: DataExporter) -> None:
    torch = pytest.importorskip("torch")
    from recorder.integrations.modules import RecordModules

    p, q, ones = torch.nn.Identity(), torch.nn.Identity(), torch.ones(3)
    first = RecordModules(exporter, {"p": p})
    p(ones)
    second = RecordModules(exporter, {"q": q})
    with pytest.raises(InputError, match="RecordModules of p alone"):
        q(ones)
    first.remove()
    second.remove()
    RecordModules(exporter, {"q": q}, spikes=[])
    q(ones)  # other names
    assert exporter.current_episode.timestep_count == 2
