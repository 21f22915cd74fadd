"""What is recorded of a Nengo simulation are the samples of its probes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, NoEpisodeError, OptionError
from recorder.integrations.nengo import run_recorded

nengo = pytest.importorskip("nengo")
nengo.rc.set("decoder_cache", "enabled", "False")  # which lies in the user's home


def network(fails_at: float = 9.0) -> tuple[Any, dict[str, Any]]:
    """Two ensembles, and probes of everything about them."""

    def signal(t: float) -> float:
        if t > fails_at:
            raise ZeroDivisionError
        return float(np.sin(20 * t))

    with nengo.Network(seed=1) as model:
        node = nengo.Node(signal)
        a, b = nengo.Ensemble(20, 1), nengo.Ensemble(15, 2)
        nengo.Connection(node, a)
        learned = nengo.Connection(a, b[0], learning_rule_type=nengo.PES())
        error = nengo.Node(size_in=1)
        nengo.Connection(b[0], error)
        nengo.Connection(error, learned.learning_rule)
        probes = {
            "voltage": nengo.Probe(a.neurons, "voltage"),
            "decoded": nengo.Probe(b, synapse=0.01),
            "weights": nengo.Probe(learned, "weights", sample_every=0.01),
            "odd": nengo.Probe(node, sample_every=0.0025),
            "spikes": nengo.Probe(a.neurons),
            "reward": nengo.Probe(error),
        }
    return model, probes


def test_the_samples_are_those_of_an_ordinary_run(exporter: DataExporter) -> None:
    model, probes = network()
    with nengo.Simulator(model, progress_bar=False) as theirs:
        theirs.run_steps(230)
    exporter.start_episode()
    with nengo.Simulator(model, progress_bar=False) as ours:
        for steps in (150, 80):  # goes on where the first ended
            run_recorded(
                ours,
                exporter,
                steps,
                neural_state={name: probes[name] for name in ("voltage", "weights")},
                behavior={name: probes[name] for name in ("decoded", "odd")},
                spikes=probes["spikes"],
                reward=probes["reward"],
                chunk=64,
            )
        assert len(ours.data[probes["voltage"]]) == 0
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        assert episode.get_metadata()["total_timesteps"] == 230
        for name in ("voltage", "weights", "decoded", "odd"):
            group = "behavior" if name in ("decoded", "odd") else "neural_states"
            stream, wanted = episode.stream(f"{group}/{name}"), theirs.data[probes[name]]
            assert stream.read().dtype == wanted.dtype
            assert (stream.read() == wanted).all()
            steps = [n for n in range(1, 231) if n % ((probes[name].sample_every or 0.001) / 0.001) < 1]
            assert stream.timesteps.tolist() == steps
        assert (episode.get_rewards()["rewards"] == theirs.data[probes["reward"]][:, 0]).all()
        raster = episode.get_spike_raster()
        dt = experiment.get_metadata()["nengo"]["dt"]
        assert (episode.get_rewards()["timesteps"] * dt == theirs.trange()).all()
    assert (raster[-230:] == theirs.data[probes["spikes"]]).all()
    assert raster.sum() > 0


def test_samples_are_left_where_they_are_wanted(exporter: DataExporter) -> None:
    model, probes = network()
    exporter.start_episode()
    with nengo.Simulator(model, progress_bar=False) as simulator:
        run_recorded(simulator, exporter, 25, behavior={"x": probes["decoded"]}, chunk=10, keep=True)
        kept = simulator.data[probes["decoded"]]
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert (experiment.get_episode(0).get_behavior()["x"] == kept).all()
    assert len(kept) == 25


def test_steps_before_one_that_fails_are_recorded(exporter: DataExporter) -> None:
    model, probes = network(fails_at=0.0175)
    exporter.start_episode()
    with nengo.Simulator(model, progress_bar=False) as simulator, pytest.raises(ZeroDivisionError):
        run_recorded(simulator, exporter, 50, behavior={"x": probes["decoded"]})
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert experiment.get_episode(0).get_behavior()["timesteps"].tolist() == list(range(1, 18))


def test_what_cannot_be_recorded_is_refused_before_a_step(exporter: DataExporter) -> None:
    model, probes = network()
    _, others = network()
    with nengo.Simulator(model, progress_bar=False) as simulator:
        for wrong in ({}, {"spikes": others["spikes"]}, {"reward": 5}):
            with pytest.raises(OptionError, match="probes of this simulator"):
                run_recorded(simulator, exporter, 5, **wrong)
        for wrong in ({"steps": 0}, {"steps": 1.5}, {"chunk": 0}):
            with pytest.raises(OptionError, match=next(iter(wrong))):
                run_recorded(simulator, exporter, **{"steps": 5, "spikes": probes["spikes"], **wrong})
        assert simulator.n_steps == 0
        with pytest.raises(NoEpisodeError):
            run_recorded(simulator, exporter, 5, spikes=probes["spikes"])
