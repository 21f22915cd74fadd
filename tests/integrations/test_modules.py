"""What forward hooks record is what the layers return, and what snnTorch's own monitors keep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, InputError, InvalidNameError, OptionError, StreamTypeError
from recorder.integrations.modules import RecordModules

torch = pytest.importorskip("torch")


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[DataExporter]:
    with DataExporter("layers", str(tmp_path), neural_sampling_rate=1, ring_bytes=1 << 20) as exporter:
        yield exporter


def recorded(exporter: DataExporter, number: int = 0) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """Closed, read back: states, spikes as they were, metadata."""
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(number)
        return episode.get_neural_states(), episode.get_spike_raster(), experiment.get_metadata()


def same(ours: Any, theirs: list[Any]) -> None:
    theirs = torch.stack(theirs).detach().numpy()
    assert ours.dtype == theirs.dtype
    assert (ours == theirs).all()


def test_snntorch_layers(exporter: DataExporter) -> None:
    snn = pytest.importorskip("snntorch")
    from snntorch.functional import probe

    torch.manual_seed(0)
    fc1, lif1 = torch.nn.Linear(5, 8), snn.Leaky(beta=0.9)
    fc2, lif2 = torch.nn.Linear(8, 3), snn.Synaptic(alpha=0.8, beta=0.9)
    network = torch.nn.ModuleDict({"lif1": lif1, "lif2": lif2})
    monitor = probe.OutputMonitor(network, (snn.Leaky, snn.Synaptic))
    kept: dict[str, list[Any]] = {name: [] for name in ("mem1", "syn2", "mem2")}
    with RecordModules(exporter, {"hidden": lif1, "out": lif2}):
        exporter.start_episode()
        mem1, (syn2, mem2) = lif1.reset_mem(), lif2.reset_mem()
        for _ in range(40):
            spk1, mem1 = lif1(fc1(torch.rand(2, 5) * 2), mem1)
            _, syn2, mem2 = lif2(fc2(spk1), syn2, mem2)
            for name, state in (("mem1", mem1), ("syn2", syn2), ("mem2", mem2)):
                kept[name].append(state)
        exporter.end_episode()
        lif1(fc1(torch.rand(2, 5)), mem1)  # no episode, nothing to record
    states, spikes, metadata = recorded(exporter)
    same(states["hidden.mem"], kept["mem1"])
    same(states["out.syn"], kept["syn2"])
    same(states["out.mem"], kept["mem2"])
    outputs = [[each[0] for each in monitor[name]][:40] for name in ("lif1", "lif2")]
    theirs = torch.cat([torch.stack(output).reshape(40, -1) for output in outputs], 1).detach().numpy()
    assert (spikes == theirs).all()
    assert 0 < theirs.sum() < theirs.size
    assert states["timesteps"].tolist() == list(range(40))
    about = metadata["modules"]
    assert about["hidden"]["type"].endswith("Leaky")
    assert [about[name]["first_neuron"] for name in ("hidden", "out")] == [0, 16]
    assert [about[name]["shape"] for name in ("hidden", "out")] == [[2, 8], [2, 3]]


def test_states_that_snntorch_hides(exporter: DataExporter) -> None:
    snn = pytest.importorskip("snntorch")
    torch.manual_seed(1)
    layer = snn.Synaptic(alpha=0.8, beta=0.9, init_hidden=True)
    kept: dict[str, list[Any]] = {name: [] for name in ("spk", "syn", "mem")}
    RecordModules(exporter, {"lif": layer})
    exporter.start_episode()
    for _ in range(20):
        kept["spk"].append(layer(torch.rand(1, 4)).clone())
        kept["syn"].append(layer.syn.clone())
        kept["mem"].append(layer.mem.clone())
    states, spikes, _ = recorded(exporter)
    same(states["lif.syn"], kept["syn"])
    same(states["lif.mem"], kept["mem"])
    assert (spikes == torch.cat(kept["spk"]).numpy()).all()


def test_norse_cells(exporter: DataExporter) -> None:
    norse = pytest.importorskip("norse.torch")
    torch.manual_seed(0)
    first, second = norse.LIFCell(), norse.LIFRecurrentCell(6, 3)
    kept: dict[str, list[Any]] = {name: [] for name in ("z1", "v1", "i1", "z2", "v2", "i2")}
    RecordModules(exporter, {"a": first, "b": second})
    exporter.start_episode()
    state1 = state2 = None
    for _ in range(60):
        z1, state1 = first(torch.rand(1, 6) * 3, state1)
        z2, state2 = second(z1, state2)
        for name, state in (("z1", z1), ("v1", state1.v), ("i1", state1.i)):
            kept[name].append(state)
        for name, state in (("z2", z2), ("v2", state2.v), ("i2", state2.i)):
            kept[name].append(state)
    states, spikes, _ = recorded(exporter)
    for name, key in (("a.v", "v1"), ("a.i", "i1"), ("b.v", "v2"), ("b.i", "i2")):
        same(states[name], kept[key])
    theirs = torch.cat([torch.stack(kept[z]).reshape(60, -1) for z in ("z1", "z2")], 1).detach().numpy()
    assert (spikes == theirs).all()
    assert theirs.sum() > 0


class Layer(torch.nn.Module):
    """Returns what it is told to."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    def forward(self) -> Any:
        return self.output


def test_plain_modules_and_layers_that_work_in_place(exporter: DataExporter) -> None:
    shared = torch.ones(4)
    dense, spiking = Layer((shared, (torch.full((2,), 7.0), None))), Layer(torch.tensor([1.0, 0.0, 2.5]))
    hooks = RecordModules(exporter, {"fc": dense, "lif": spiking}, spikes=["lif"])
    exporter.start_episode()
    for step in range(3):
        dense()
        shared += 1  # after the layer, before the step is whole
        spiking()
        if step == 1:
            hooks.remove()
    states, spikes, metadata = recorded(exporter)
    assert (states["fc.output"] == np.array([[1.0] * 4, [2.0] * 4])).all()
    assert (states["fc.0"] == 7.0).all()
    assert spikes.tolist() == [[1.0, 0.0, 2.5]] * 2
    assert "first_neuron" not in metadata["modules"]["fc"]


def test_a_module_that_is_called_twice_a_step_is_told(exporter: DataExporter) -> None:
    first, second = Layer(torch.ones(2)), Layer(torch.ones(3))
    RecordModules(exporter, {"first": first, "second": second})
    exporter.start_episode()
    first()
    with pytest.raises(InputError, match=r"modules/first.*two before \['second'\]"):
        first()
    first()
    exporter.start_episode()  # what was under way is forgotten
    second()
    first()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        totals = [experiment.get_episode(n).get_metadata()["total_timesteps"] for n in range(2)]
    assert totals == [0, 1]


def test_what_cannot_be_hooked_is_refused(exporter: DataExporter) -> None:
    layer = Layer(torch.ones(2))
    for modules in ({}, {"a": 5}):
        with pytest.raises(OptionError, match="named torch modules"):
            RecordModules(exporter, modules)
    with pytest.raises(OptionError, match=r"\['b'\] are none of"):
        RecordModules(exporter, {"a": layer}, spikes=["b"])
    with pytest.raises(InvalidNameError):
        RecordModules(exporter, {"a/b": layer})
    exporter.start_episode()
    RecordModules(exporter, {"a": Layer({"not": "a tensor"})})
    with pytest.raises(InputError, match="modules/a"):
        layer_of = Layer("text")
        RecordModules(exporter, {"a": layer_of})
        layer_of()
    double, single = Layer(torch.ones(2, dtype=torch.float64)), Layer(torch.ones(2))
    with RecordModules(exporter, {"a": double, "b": single}):
        double()
        with pytest.raises(InputError, match="one dtype"):
            single()


def test_numbers_that_hdf5_has_no_type_for_are_refused(exporter: DataExporter) -> None:
    exporter.start_episode()
    half = Layer((torch.ones(2), torch.ones(2, dtype=torch.bfloat16)))
    RecordModules(exporter, {"a": half})
    with pytest.raises(StreamTypeError, match=r"neural_states/a\.0 at timestep 0"):
        half()
