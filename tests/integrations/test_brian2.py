"""What the network operation records is what Brian2's own monitors record, value by value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, InputError, NoEpisodeError, OptionError

try:
    import brian2 as b2
except (ImportError, AttributeError) as error:  # Brian2 2.9 fails under NumPy 2.4
    pytest.skip(f"brian2 cannot be imported: {error}", allow_module_level=True)

from recorder.integrations.brian2 import record_group

N = 20
EQUATIONS = """
dv/dt = (1.2 - v + drive) / (10*ms) : 1 (unless refractory)
dg/dt = -g / (5*ms) : siemens
drive : 1
twice = 2 * v : 1
gain : 1 (shared)
"""


@pytest.fixture
def group() -> Any:
    b2.start_scope()
    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = 0.1 * b2.ms
    b2.seed(1)
    group = b2.NeuronGroup(
        N, EQUATIONS, threshold="v > 1", reset="v = 0; g += 1*nS", refractory=1 * b2.ms, method="euler"
    )
    group.v, group.drive, group.gain = "rand()", "i / N", 3.0
    return group


def steps_of(monitor: Any, dt: float = 1e-4) -> list[int]:
    return np.rint(np.asarray(monitor.t_) / dt).astype(int).tolist()


def spikes_of(monitor: Any) -> list[tuple[int, int]]:
    return sorted(zip(steps_of(monitor), np.asarray(monitor.i).tolist(), strict=True))


def recorded_spikes(episode: Any) -> list[tuple[int, int]]:
    spikes = episode.get_spikes()
    return list(zip(spikes["timesteps"].tolist(), spikes["neuron_ids"].tolist(), strict=True))


def test_states_and_spikes_are_those_of_the_monitors(exporter: DataExporter, group: Any) -> None:
    names = ["v", "g", "not_refractory", "twice", "gain"]
    states = b2.StateMonitor(group, names, record=True, when="end")
    spikes = b2.SpikeMonitor(group)
    operation = record_group(exporter, group, names, also=lambda: {"behavior": {"mean": group.v_[:].mean()}})
    network = b2.Network(group, states, spikes, operation)
    exporter.start_episode()
    network.run(5 * b2.ms)
    network.run(20 * b2.ms)  # goes on where the first ended
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        recorded = episode.get_neural_states()
        assert recorded["timesteps"].tolist() == steps_of(states) == list(range(250))
        for name in ("v", "g", "not_refractory", "twice"):
            theirs = np.asarray(getattr(states, f"{name}_")).T
            assert recorded[name].dtype == theirs.dtype
            assert (recorded[name] == theirs).all()
        assert (recorded["gain"] == np.asarray(states.gain_)[0]).all()
        assert recorded["gain"].shape == (250,)
        assert (episode.get_behavior()["mean"] == np.array([row.mean() for row in states.v_.T])).all()
        assert recorded_spikes(episode) == spikes_of(spikes)
        assert len(spikes_of(spikes)) > 20
        assert episode.n_neurons == N
        about = experiment.get_metadata()[f"brian2.{group.name}"]
    assert about["dt"] == pytest.approx(1e-4, abs=0)
    assert about["units"] == {"v": "1", "g": "S", "not_refractory": "1", "twice": "1", "gain": "1"}


def test_the_slot_and_the_step_of_a_default_monitor(exporter: DataExporter, group: Any) -> None:
    states = b2.StateMonitor(group, "v", record=True, dt=0.5 * b2.ms)
    operation = record_group(exporter, group, ["v"], spikes=False, when="start", dt=0.5 * b2.ms)
    exporter.start_episode()
    b2.Network(group, states, operation).run(10 * b2.ms)
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        recorded = experiment.get_episode(0).get_neural_states()
    assert recorded["timesteps"].tolist() == steps_of(states, 5e-4)
    assert (recorded["v"] == np.asarray(states.v_).T).all()


def test_a_part_of_a_group_and_its_synapses(exporter: DataExporter, group: Any) -> None:
    part = group[5:12]
    synapses = b2.Synapses(group, group, "w : 1", on_pre="w += 1")
    synapses.connect(p=0.2)
    states = b2.StateMonitor(part, ["v", "twice"], record=True, when="end")
    weights = b2.StateMonitor(synapses, "w", record=True, when="end")
    spikes = b2.SpikeMonitor(part)
    operations = [
        record_group(exporter, part, ["v", "twice"]),
        record_group(exporter, synapses, ["w"], order=1),
    ]
    network = b2.Network(group, synapses, states, weights, spikes, *operations)
    exporter.start_episode()
    network.run(15 * b2.ms)
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        recorded = episode.get_neural_states()
        assert (recorded["v"] == np.asarray(states.v_).T).all()
        assert (recorded["twice"] == np.asarray(states.twice_).T).all()
        assert (recorded["w"] == np.asarray(weights.w_).T).all()
        assert recorded_spikes(episode) == spikes_of(spikes) != []
        assert episode.n_neurons == 7


def test_spikes_of_a_source_without_states(exporter: DataExporter) -> None:
    b2.start_scope()
    b2.prefs.codegen.target = "numpy"
    source = b2.PoissonGroup(30, rates=200 * b2.Hz)
    spikes = b2.SpikeMonitor(source)
    operation = record_group(exporter, source)
    exporter.start_episode()
    b2.run(20 * b2.ms)  # finds source, spikes and operation by itself
    exporter.close()
    assert operation.active
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert recorded_spikes(experiment.get_episode(0)) == spikes_of(spikes) != []


def test_what_cannot_be_recorded_is_refused_at_once(exporter: DataExporter, group: Any) -> None:
    with pytest.raises(OptionError, match="record_group records into a DataExporter"):
        record_group("my_run", group)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="no variable 'u'"):
        record_group(exporter, group, ["u"])
    with pytest.raises(OptionError, match="no event 'burst'"):
        record_group(exporter, group, spikes=True, event="burst")
    for when in ("start", "groups", "before_thresholds", "thresholds"):
        with pytest.raises(OptionError, match="after the slot"):
            record_group(exporter, group, when=when)
    with pytest.raises(OptionError, match="group's dt"):
        record_group(exporter, group, dt=1 * b2.ms)
    record_group(exporter, group, when="after_thresholds")


def test_errors_of_the_recording_end_the_run(exporter: DataExporter, group: Any) -> None:
    more: dict[str, Any] = {}
    network = b2.Network(group, record_group(exporter, group, ["v"], also=lambda: more))
    with pytest.raises(NoEpisodeError):
        network.run(1 * b2.ms)
    exporter.start_episode()
    more["neural_state"] = {"v": 1.0}
    with pytest.raises(InputError, match="recorded already"):
        network.run(1 * b2.ms)
