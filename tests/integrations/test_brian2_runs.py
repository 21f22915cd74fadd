"""What a network operation does over several runs, groups and episodes, and what it refuses before a step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, FlightrecError, InputError, InvalidNameError, OptionError, StateError

try:
    import brian2 as b2
except (ImportError, AttributeError) as error:  # Brian2 2.9 fails under NumPy 2.4
    pytest.skip(f"brian2 cannot be imported: {error}", allow_module_level=True)

from recorder.integrations.brian2 import record_group


@pytest.fixture(autouse=True)
def brian() -> None:
    b2.start_scope()
    b2.prefs.codegen.target = "numpy"
    b2.defaultclock.dt = 0.1 * b2.ms


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[DataExporter]:
    with DataExporter("brian", str(tmp_path), neural_sampling_rate=1, ring_bytes=1 << 20) as exporter:
        exporter.start_episode()
        yield exporter


def neurons(n: int = 5, tau: float = 1.0, **more: Any) -> Any:
    """Whose spikes are all over the steps."""
    group = b2.NeuronGroup(
        n, f"dv/dt = (1.2 - v) / ({tau}*ms) : 1", threshold="v > 1", reset="v = 0", method="exact", **more
    )
    group.v = "0.9 * i / N"
    return group


def spikes_of(*monitors: Any, dt: float = 1e-4) -> list[tuple[int, int]]:
    """Steps and neurons, those of later monitors behind those of the first."""
    out, first = [], 0
    for monitor in monitors:
        steps = np.rint(np.asarray(monitor.t_) / dt).astype(int).tolist()
        out += zip(steps, (np.asarray(monitor.i) + first).tolist(), strict=True)
        first += len(monitor.source)
    return sorted(out)


def recorded_spikes(episode: Any) -> list[tuple[int, int]]:
    spikes = episode.get_spikes()
    return sorted(zip(spikes["timesteps"].tolist(), spikes["neuron_ids"].tolist(), strict=True))


def refused(network: Any, kind: type[FlightrecError], match: str) -> None:
    """A run ends before its first step, and Brian2 names the reason."""
    before = network.t_
    with pytest.raises(b2.BrianObjectException) as caught:
        network.run(1 * b2.ms)
    assert type(caught.value.__cause__) is kind
    assert match in str(caught.value.__cause__)
    assert network.t_ == before


def test_a_device_without_python_is_refused(exporter: DataExporter, tmp_path: Path) -> None:
    operation = record_group(exporter, neurons(), ["v"])
    b2.set_device("cpp_standalone", directory=str(tmp_path / "code"), build_on_run=False)
    try:
        with pytest.raises(OptionError, match="CPPStandaloneDevice"):
            record_group(exporter, neurons(), ["v"])
        with pytest.raises(OptionError, match="CPPStandaloneDevice"):
            operation.before_run({})
    finally:
        b2.device.reinit()
        b2.set_device("runtime")


def test_groups_of_one_network_have_streams_of_their_own(exporter: DataExporter) -> None:
    groups = [neurons(4), neurons(3, tau=2.0), neurons(6, tau=0.5)]
    monitors = [b2.SpikeMonitor(group) for group in groups]
    states = [b2.StateMonitor(group, "v", record=True, when="end") for group in groups]
    # Twelve, so that Brian2's order by name is another than theirs.
    quiet = [record_group(exporter, groups[0], spikes=False, name=f"quiet{i}") for i in range(9)]
    operations = [record_group(exporter, g, "v", name=f"g{i}") for i, g in enumerate(groups)]
    network = b2.Network(groups, monitors, states, quiet, operations)
    network.run(5 * b2.ms)
    network.run(5 * b2.ms)
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode, about = experiment.get_episode(0), experiment.get_metadata()
        recorded = episode.get_neural_states()
        for i, monitor in enumerate(states):
            assert (recorded[f"g{i}.v"] == np.asarray(monitor.v_).T).all()
        assert recorded_spikes(episode) == spikes_of(*monitors)
        assert min(monitor.num_spikes for monitor in monitors) > 2
        assert episode.n_neurons == 13
    assert [about[f"brian2.g{i}"]["first_neuron"] for i in range(3)] == [0, 4, 7]
    assert [about[f"brian2.g{i}"]["neurons"] for i in range(3)] == [4, 3, 6]
    assert about["brian2.g1"]["group"] == groups[1].name


def test_a_second_source_of_a_stream_is_refused_before_a_step(exporter: DataExporter) -> None:
    a, b = neurons(), neurons()
    first, second = record_group(exporter, a, ["v"]), record_group(exporter, b, ["v"])
    refused(b2.Network(a, b, first, second), InputError, "neural_states/v: expected rows of")
    # Nothing of it is left, for whoever tries again with other names, or another network.
    c, d = neurons(), neurons()
    b2.Network(c, record_group(exporter, c, ["v"])).run(1 * b2.ms)
    # One after the other in one episode: timesteps would begin anew.
    refused(b2.Network(d, record_group(exporter, d)), InputError, "spikes: expected rows of")
    refused(b2.Network(d, record_group(exporter, d, "v", spikes=False)), InputError, "neural_states/v")
    e = b2.NeuronGroup(2, "w : 1")
    also = record_group(exporter, e, also=lambda: {"neural_state": {"v": 1.0}})
    with pytest.raises(InputError, match="neural_states/v"):
        b2.Network(e, also).run(1 * b2.ms)
    exporter.end_episode()
    exporter.start_episode()
    b2.Network(d, record_group(exporter, d, ["v"])).run(1 * b2.ms)


def test_networks_take_turns_in_episodes(exporter: DataExporter) -> None:
    for n in (5, 5, 5):
        group = neurons(n, tau=n / 5)
        network = b2.Network(group, record_group(exporter, group, ["v"]))
        network.run(1 * b2.ms)
        exporter.end_episode()
        exporter.start_episode()
        network.run(1 * b2.ms)
        exporter.end_episode()
        exporter.start_episode()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        steps = [experiment.get_episode(i).get_neural_states()["timesteps"].tolist() for i in range(6)]
    assert steps == [list(range(10)), list(range(10, 20))] * 3


def test_spikes_follow_the_groups_clock(exporter: DataExporter) -> None:
    group = neurons(20)
    monitor = b2.SpikeMonitor(group)
    operation = record_group(exporter, group, ["v"], dt=100 * b2.us)  # not quite 0.1 ms as a float
    b2.defaultclock.dt = 0.05 * b2.ms
    b2.Network(group, monitor, operation).run(5 * b2.ms)
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        assert recorded_spikes(episode) == spikes_of(monitor, dt=5e-5) != []
        assert len(episode.get_neural_states()["timesteps"]) == 100
        assert experiment.get_metadata()[f"brian2.{group.name}"]["dt"] == 5e-5


def test_an_episode_has_one_dt(exporter: DataExporter) -> None:
    group = neurons()
    monitor = b2.StateMonitor(group, "v", record=True)
    network = b2.Network(group, monitor, record_group(exporter, group, ["v"]))
    network.run(2 * b2.ms)
    b2.defaultclock.dt = 0.2 * b2.ms
    refused(network, StateError, "dt of")
    exporter.end_episode()
    exporter.start_episode()
    network.run(2 * b2.ms)
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        about, times = experiment.get_metadata(), []
        for number in range(2):
            name = f"brian2.{group.name}"
            dt = about.get(f"{name}.{number}", about[name])["dt"]
            times.append(experiment.get_episode(number).get_neural_states()["timesteps"] * dt)
    np.testing.assert_allclose(np.concatenate(times), np.asarray(monitor.t_))


def test_an_episodes_spikes_have_one_dt(exporter: DataExporter) -> None:
    a, b = neurons(), neurons(dt=0.2 * b2.ms)
    network = b2.Network(a, b, record_group(exporter, a), record_group(exporter, b))
    refused(network, OptionError, "one dt")


def test_neurons_keep_their_places_in_an_episode(exporter: DataExporter) -> None:
    groups = [neurons(4), neurons(4)]
    network = b2.Network(groups, last := record_group(exporter, groups[1]))
    network.run(1 * b2.ms)
    network.remove(last)
    network.add(record_group(exporter, groups[0]))
    refused(network, InputError, "spikes: expected rows of")


def test_time_does_not_go_back_in_an_episode(exporter: DataExporter) -> None:
    group = neurons()
    network = b2.Network(group, record_group(exporter, group, ["v"]))
    network.store()
    network.run(1 * b2.ms)
    network.restore()
    refused(network, StateError, "back at step 0")
    exporter.end_episode()
    exporter.start_episode()
    network.run(1 * b2.ms)


def test_the_networks_own_schedule_is_looked_at(exporter: DataExporter) -> None:
    group = neurons()
    network = b2.Network(group, record_group(exporter, group, when="synapses"))
    network.schedule = ["start", "groups", "synapses", "thresholds", "resets", "end"]
    refused(network, OptionError, "the schedule of")
    network.schedule = ["start", "groups", "thresholds", "synapses", "resets", "end"]
    network.run(1 * b2.ms)
    # Where the group's own is another: its thresholds at the end.
    late = neurons()
    operation = record_group(exporter, late, when="after_resets")
    late.set_event_schedule("spike", when="end")
    refused(b2.Network(late, operation), OptionError, "'end'")
    with pytest.raises(OptionError, match="after the slot 'end'"):
        record_group(exporter, late, when="after_resets")


def test_events_in_a_slot_of_their_own(exporter: DataExporter) -> None:
    group = b2.NeuronGroup(5, "v : 1", events={"high": "v > 0.5"})
    group.run_regularly("v = (v + 0.1 * (1 + i)) % 1", when="start")
    monitor = b2.EventMonitor(group, "high")
    operation = record_group(exporter, group, event="high", when="after_thresholds", order=1)
    with pytest.raises(OptionError, match="after the slot"):
        record_group(exporter, group, event="high", when="after_thresholds")
    b2.Network(group, monitor, operation).run(2 * b2.ms)
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert recorded_spikes(experiment.get_episode(0)) == spikes_of(monitor) != []


def test_a_network_without_the_group_does_not_run(exporter: DataExporter) -> None:
    group = neurons()
    with pytest.raises(ValueError, match="not the object on which it depends"):
        b2.Network(record_group(exporter, group)).run(1 * b2.ms)


def test_what_no_group_has_is_refused_at_once(exporter: DataExporter) -> None:
    group = b2.NeuronGroup(3, "ge : 1\nge_timesteps : 1")
    with pytest.raises(OptionError, match=r"'N' of .* is a constant"):
        record_group(exporter, group, ["N"])
    for strange in ("group", exporter, None):
        with pytest.raises(OptionError, match="a group of Brian2"):
            record_group(exporter, strange, ["v"])
    for unknown in (5, [5], [["ge"]], "v"):
        with pytest.raises(OptionError, match=r"names of variables|no variable"):
            record_group(exporter, group, unknown)  # type: ignore[arg-type]
    for bad in ({"name": "a/b"}, {"name": ""}, {"variables": "ge_timesteps"}):
        with pytest.raises(InvalidNameError):
            record_group(exporter, group, **bad)


def test_one_variable_is_a_name(exporter: DataExporter) -> None:
    group = b2.NeuronGroup(3, "ge : 1")
    b2.Network(group, record_group(exporter, group, "ge")).run(0.3 * b2.ms)
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert experiment.get_episode(0).get_neural_states()["ge"].shape == (3, 3)


def test_what_is_added_has_no_timestep(exporter: DataExporter) -> None:
    for more in ({"timestep": 5}, {1: 2}, {"self": 1}):
        group = neurons()
        network = b2.Network(group, record_group(exporter, group, also=lambda more=more: more))
        with pytest.raises(InputError, match=r"recorded already|names of log"):
            network.run(1 * b2.ms)
        exporter.end_episode()
        exporter.start_episode()
