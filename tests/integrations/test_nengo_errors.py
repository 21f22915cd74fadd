"""What is known before a step is told before it, and samples of others stay where they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import (
    ClosedError,
    DataExporter,
    InputError,
    InvalidNameError,
    NoEpisodeError,
    OptionError,
    StateError,
)
from recorder.integrations.nengo import run_recorded
from recorder.integrations.stepping import record_steps

nengo = pytest.importorskip("nengo")
nengo.rc.set("decoder_cache", "enabled", "False")  # which lies in the user's home


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[DataExporter]:
    with DataExporter("nengo", str(tmp_path), neural_sampling_rate=1, ring_bytes=1 << 20) as exporter:
        exporter.start_episode()
        yield exporter


@pytest.fixture
def probes() -> dict[str, Any]:
    """Of the time, twice, and of some neurons."""
    with nengo.Network(seed=1) as model:
        time = nengo.Node(lambda t: t)
        ensemble = nengo.Ensemble(20, 1)
        return {
            "model": model,
            "time": nengo.Probe(time),
            "other": nengo.Probe(time, sample_every=0.002),
            "spikes": nengo.Probe(ensemble.neurons),
            "encoders": nengo.Probe(ensemble, "scaled_encoders"),
        }


@pytest.fixture
def simulator(probes: dict[str, Any]) -> Iterator[Any]:
    with nengo.Simulator(probes["model"], progress_bar=False) as simulator:
        yield simulator


def steps(exporter: DataExporter) -> list[int]:
    with ExperimentLoader(exporter.output_dir) as experiment:
        return experiment.get_episode(0).get_behavior()["timesteps"].tolist()


@pytest.mark.parametrize("keep", [False, True])
def test_only_what_is_recorded_is_let_go(
    exporter: DataExporter, simulator: Any, probes: dict[str, Any], keep: bool
) -> None:
    simulator.run_steps(50)
    early = simulator.data[probes["time"]]
    run_recorded(simulator, exporter, 50, behavior={"t": probes["time"]}, chunk=20, keep=keep)
    samples = simulator.data[probes["time"]]
    assert len(samples) == (100 if keep else 50)
    assert (samples[:50] == early).all()
    assert len(simulator.data[probes["other"]]) == 50
    simulator.run_steps(10)
    assert simulator.data[probes["time"]][-1] == pytest.approx(0.11)
    exporter.close()
    assert steps(exporter) == list(range(51, 101))
    with ExperimentLoader(exporter.output_dir) as experiment:
        recorded = experiment.get_episode(0).get_behavior()["t"]
    np.testing.assert_allclose(recorded[:, 0], np.arange(51, 101) * 0.001)


class Opaque:
    """A simulator whose samples are arrays only, and that clears all of them or none."""

    def __init__(self, simulator: Any) -> None:
        self._simulator = simulator
        self.data = dict(simulator.data)
        self.model, self.dt = simulator.model, simulator.dt

    @property
    def n_steps(self) -> int:
        return int(self._simulator.n_steps)

    def run_steps(self, steps: int, **more: Any) -> None:
        self._simulator.run_steps(steps, **more)
        self.data = {probe: self._simulator.data[probe] for probe in self.model.probes}

    def clear_probes(self) -> None:
        self._simulator.clear_probes()
        self.data = {probe: self._simulator.data[probe] for probe in self.model.probes}


def test_a_simulator_that_clears_all_probes_is_not_asked_to(exporter: DataExporter) -> None:
    with nengo.Network(seed=1) as model:
        time = nengo.Node(lambda t: t)
        p, q = nengo.Probe(time), nengo.Probe(time)
    with nengo.Simulator(model, progress_bar=False) as inner:
        simulator = Opaque(inner)
        with pytest.raises(OptionError, match="keep=True"):
            run_recorded(simulator, exporter, 5, behavior={"p": p})
        assert simulator.n_steps == 0
        run_recorded(simulator, exporter, 5, behavior={"p": p}, chunk=2, keep=True)
        assert len(simulator.data[q]) == 5
        with pytest.raises(OptionError, match="would lose"):
            run_recorded(simulator, exporter, 5, behavior={"p": p, "q": q})
        simulator.clear_probes()
        run_recorded(simulator, exporter, 5, behavior={"p": p, "q": q}, chunk=2)
        assert len(simulator.data[p]) == len(simulator.data[q]) == 0
    exporter.close()
    assert steps(exporter) == list(range(1, 11))


def test_errors_that_can_be_known_come_before_a_step(
    exporter: DataExporter, simulator: Any, probes: dict[str, Any]
) -> None:
    wrong: list[tuple[type[Exception], dict[str, Any]]] = [
        (OptionError, {"reward": probes["spikes"]}),
        (OptionError, {"spikes": probes["encoders"]}),
        (OptionError, {"behavior": [probes["time"]]}),
        (InvalidNameError, {"behavior": {"a/b": probes["time"]}}),
        (InvalidNameError, {"neural_state": {"timesteps": probes["time"]}}),
        (InvalidNameError, {"neural_state": {1: probes["time"]}}),
    ]
    for error, streams in wrong:
        with pytest.raises(error):
            run_recorded(simulator, exporter, 5, **streams)
    record_steps(exporter)(lambda: {"reward": 1.0})()
    with pytest.raises(InputError, match="rewards: expected rows of record_steps"):
        run_recorded(simulator, exporter, 5, reward=probes["time"])
    exporter.end_episode()
    with pytest.raises(NoEpisodeError):
        run_recorded(simulator, exporter, 5, reward=probes["time"])
    exporter.close()
    with pytest.raises(ClosedError):
        run_recorded(simulator, exporter, 5, reward=probes["time"])
    assert simulator.n_steps == 0


def test_an_episode_has_one_time(exporter: DataExporter, simulator: Any, probes: dict[str, Any]) -> None:
    streams: dict[str, Any] = {"behavior": {"t": probes["time"]}}
    run_recorded(simulator, exporter, 5, **streams)
    with (
        nengo.Simulator(probes["model"], progress_bar=False) as second,
        pytest.raises(InputError, match="behavior/t: expected rows of run_recorded"),
    ):
        run_recorded(second, exporter, 5, **streams)
    simulator.reset()
    with pytest.raises(StateError, match="back at step 0"):
        run_recorded(simulator, exporter, 5, **streams)
    exporter.end_episode()
    exporter.start_episode()
    run_recorded(simulator, exporter, 5, **streams)
    exporter.close()
    assert steps(exporter) == [1, 2, 3, 4, 5]
