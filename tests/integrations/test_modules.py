"""What forward hooks record is what the layers return, and what snnTorch's own monitors keep."""

from __future__ import annotations

import copy
import io
import warnings
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, InputError, InvalidNameError, OptionError, StreamTypeError
from recorder.integrations.modules import RecordModules

torch = pytest.importorskip("torch")


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
    first, second, third = (Layer(torch.full((2,), float(n))) for n in range(3))
    RecordModules(exporter, {"first": first, "second": second, "third": third})
    exporter.start_episode()
    first(), second()
    with pytest.raises(InputError, match=r"modules/second.*two before \['third'\]"):
        second()
    # Of the first module a forward pass that failed would look the same, once.
    first()
    with pytest.warns(UserWarning, match="called again"):
        first(), second(), third()
    first()
    with pytest.raises(InputError, match=r"modules/first.*two before \['second', 'third'\]"):
        first()
    exporter.end_episode()
    exporter.start_episode()  # what was under way is forgotten
    second()
    exporter.end_episode()
    exporter.start_episode()
    first(), second(), third()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        totals = [experiment.get_episode(n).get_metadata()["total_timesteps"] for n in range(3)]
    assert totals == [1, 0, 1]


def test_a_forward_pass_that_failed_is_no_row_and_no_error_of_the_next(exporter: DataExporter) -> None:
    first, second = Layer(torch.zeros(1)), Layer(torch.zeros(1))
    RecordModules(exporter, {"first": first, "second": second})
    exporter.start_episode()
    for step, fails in enumerate((True, True, False, False, True, False)):
        first.output = second.output = torch.tensor([float(step)])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            first()
        assert [("failed" in str(each.message)) for each in caught] == [True] * (step in (1, 2, 5))
        if not fails:
            second()
    _, spikes, _ = recorded(exporter)
    assert spikes.tolist() == [[2.0, 2.0], [3.0, 3.0], [5.0, 5.0]]


def test_what_cannot_be_hooked_is_refused(exporter: DataExporter) -> None:
    layer = Layer(torch.ones(2))
    for modules in ({}, {"a": 5}, [layer], layer):
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


@dataclass
class State:
    """A layer's."""

    v: Any
    w: Any = None


Named = namedtuple("Named", "spikes gain state")


def test_states_in_whatever_they_stand(exporter: DataExporter) -> None:
    one, two = torch.ones(2), torch.full((3,), 2.0)
    layers = {
        "mapping": Layer((one, {"v": one, "deep": {"w": two}})),
        "dataclass": Layer((one, State(two))),
        "array": Layer((one, two.numpy(), 2.5, None)),
        "named": Layer(Named(one, two, State(one, two))),
    }
    with RecordModules(exporter, layers):
        exporter.start_episode()
        for layer in layers.values():
            layer()
    states, _, _ = recorded(exporter)
    assert {key: value.tolist() for key, value in states.items() if key != "timesteps"} == {
        "mapping.v": [[1.0, 1.0]],
        "mapping.deep.w": [[2.0, 2.0, 2.0]],
        "dataclass.v": [[2.0, 2.0, 2.0]],
        "array.0": [[2.0, 2.0, 2.0]],
        "array.1": [2.5],
        "named.gain": [[2.0, 2.0, 2.0]],
        "named.state.v": [[1.0, 1.0]],
        "named.state.w": [[2.0, 2.0, 2.0]],
    }


def test_what_is_no_state_is_refused(exporter: DataExporter) -> None:
    one = torch.ones(2)
    for output, error in (
        ((one, "text"), "modules/a: expected states as tensors.*got 0 as str"),
        ((one, {"v": object()}), "modules/a: .*got v as object"),
        (torch.eye(2).to_sparse(), "modules/a: expected dense tensors, got one of torch.sparse_coo"),
    ):
        exporter.start_episode()
        layer = Layer(output)
        with RecordModules(exporter, {"a": layer}), pytest.raises(InputError, match=error):
            layer()
        exporter.end_episode()


def test_two_streams_of_one_name_are_refused(exporter: DataExporter) -> None:
    exporter.start_episode()
    one = torch.ones(2)
    for layers in (
        {"net": Layer((one, ((one, one), one))), "net.0": Layer((one, one, one))},
        {"fc": Layer((one, {"output": one}))},
        {"a": Layer((one, {"v": one, 1: one, "1": one}))},
    ):
        with RecordModules(exporter, layers, spikes=[]), pytest.raises(InputError, match="two named '"):
            for layer in layers.values():
                layer()


def test_hooks_that_nobody_called_are_told(exporter: DataExporter) -> None:
    exporter.start_episode()
    layers = {"a": Layer(torch.ones(2)), "b": Layer(torch.ones(2))}
    hooks = RecordModules(exporter, layers)
    layers["a"]()
    with pytest.warns(UserWarning, match=r"^\['b'\] were not called.*torch.compiler"):
        hooks.remove()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hooks.remove()
        with pytest.raises(ZeroDivisionError), RecordModules(exporter, layers):
            raise ZeroDivisionError
        with RecordModules(exporter, layers):
            [layer() for layer in layers.values()]


def test_copies_of_a_hooked_network_are_not_hooked(exporter: DataExporter) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    with RecordModules(exporter, {"relu": network[1]}):
        exporter.start_episode()
        data = io.BytesIO()
        torch.save(network, data)
        assert b"recorder" not in data.getvalue()
        data.seek(0)
        copies = [
            copy.deepcopy(network),
            torch.load(data, weights_only=False),
            torch.optim.swa_utils.AveragedModel(network),
        ]
        rows = torch.rand(5, 4)
        for net in (network, *copies):
            assert (net(rows) == network[1](network[0](rows))).all()
    _, spikes, _ = recorded(exporter)
    assert len(spikes) == 1 + 4  # the network's own, and those it was compared with


def test_a_network_that_is_compiled_after_it_was_hooked(exporter: DataExporter) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)).eval()
    kept: list[Any] = []
    with RecordModules(exporter, {"relu": network[1]}), torch.no_grad():
        compiled = torch.compile(network, backend="eager")
        exporter.start_episode()
        for rows in torch.rand(6, 1, 4) - 0.5:
            kept.append(network[0](rows).relu())
            compiled(rows)
    _, spikes, _ = recorded(exporter)
    assert (spikes == torch.cat(kept).numpy()).all()
    assert len(spikes) == 6


def test_numbers_that_hdf5_has_no_type_for_are_refused(exporter: DataExporter) -> None:
    exporter.start_episode()
    half = Layer((torch.ones(2), torch.ones(2, dtype=torch.bfloat16)))
    RecordModules(exporter, {"a": half})
    with pytest.raises(StreamTypeError, match=r"neural_states/a\.0 at timestep 0"):
        half()
