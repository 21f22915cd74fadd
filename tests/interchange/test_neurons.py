"""Columns about neurons: all of those that have a row for each, under names of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader, ExportWarning
from loaders.assembling import pack
from loaders.interchange.facts import neuron_columns
from recorder import DataExporter


def network(folder: Path, columns: Mapping[str, Any], silent: int = 0) -> Path:
    """Two episodes of four neurons, the first ``silent`` ones without spikes."""
    with DataExporter("neurons", output_base_dir=str(folder)) as out:
        connections = {"source_ids": np.array([0]), "target_ids": np.array([1])}
        out.save_network_structure(dict(columns), connections, np.ones(1))
        for episode in range(2):
            out.start_episode()
            for step in range(5):
                spikes = None if episode < silent else np.arange(4) == step
                out.log(step, behavior={"x": 1.0}, spikes=spikes)
            out.end_episode()
    return Path(out.output_dir)


def test_columns_keep_apart_and_leave_the_index_alone(tmp_path: Path) -> None:
    xr = pytest.importorskip("xarray")
    pytest.importorskip("neo")
    own = {"ids": np.arange(4), "neuron_ids": np.arange(4) + 100, "neuron": np.arange(4) * 7}
    own |= {"kind": ["a"] * 4}  # type: ignore[dict-item]
    with ExperimentLoader(network(tmp_path, own | {"positions": np.arange(12.0).reshape(4, 3)})) as loader:
        spikes = loader.get_episode(1).to_xarray()["spikes"]
        train = loader.get_episode(1).to_neo(dt=1.0).spiketrains[2]
    assert isinstance(spikes, xr.DataTree)
    assert_array_equal(spikes["neuron"], np.arange(4))
    assert_array_equal(spikes["neuron_ids"], np.arange(4) + 100)
    assert_array_equal(spikes["neuron_ids_2"], np.arange(4))
    assert_array_equal(spikes["neuron_neuron"], np.arange(4) * 7)
    assert spikes["neuron_kind"].values.tolist() == ["a"] * 4
    assert spikes["neuron_positions"].dims == ("neuron", "neuron_positions_axis_1")
    found = train.annotations
    assert [found[key] for key in ("neuron", "neuron_ids", "neuron_ids_2")] == [2, 102, 2]
    assert found["neuron_neuron"] == 14
    assert found["neuron_positions"] == [6.0, 7.0, 8.0]
    assert found["neuron_kind"] == "a"


@pytest.mark.filterwarnings("ignore:Network validation")
def test_what_is_no_row_a_neuron_is_named_and_takes_nothing_with_it(tmp_path: Path) -> None:
    own = {"neuron_ids": np.arange(4), "layer_sizes": np.array([2, 2])}
    told = pytest.warns(ExportWarning, match=r"left out: layer_sizes \(2,\)")
    with ExperimentLoader(network(tmp_path, own)) as loader, told:
        assert list(neuron_columns(loader, 4)) == ["neuron_ids"]


def test_more_neurons_than_the_raster_has_columns_are_left_out(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    told = pytest.warns(ExportWarning, match=r"each of 4 neurons, left out: neuron_ids \(6,\)")
    with ExperimentLoader(network(tmp_path, {"neuron_ids": np.arange(6)}, silent=1)) as loader, told:
        loader.to_nwb(tmp_path / "a.nwb", dt=1.0)
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert len(io.read().units) == 4


def test_nwb_has_positions_and_both_ids(tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    own = {"ids": np.arange(4), "neuron_ids": np.arange(4) + 100, "positions": np.ones((4, 3))}
    with ExperimentLoader(network(tmp_path, own, silent=1)) as loader:
        loader.to_nwb(tmp_path / "a.nwb", dt=1.0)
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        units = io.read().units
        assert_array_equal(units["neuron_ids"][:], np.arange(4) + 100)
        assert_array_equal(units["neuron_ids_2"][:], np.arange(4))
        assert_array_equal(units["neuron_positions"][:], np.ones((4, 3)))


def test_scales_of_a_packed_file_name_neurons_of_neural_states_alone(tmp_path: Path) -> None:
    xr = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with DataExporter("square", output_base_dir=str(tmp_path), neural_sampling_rate=1) as out:
        connections = {"source_ids": np.array([0]), "target_ids": np.array([1])}
        out.save_network_structure({"neuron_ids": np.arange(3) + 100}, connections, np.ones(1))
        out.start_episode()
        for step in range(4):
            state = {"w": np.arange(9.0).reshape(3, 3) + step}
            out.log(step, state, behavior={"position": np.ones(3), "map": np.ones((2, 3, 3, 3))})
        out.end_episode()
    made = pack(Path(out.output_dir) / "experiment_data.h5", tmp_path / "packed.h5", scales=True)
    with xr.open_datatree(made, engine="h5netcdf", phony_dims="access") as tree:
        episode = tree["episodes/episode_0000"]
        assert episode["behavior/position"].dims == ("timesteps", "axis_3")
        assert episode["behavior/map"].dims == ("timesteps", "axis_2", "axis_3", "axis_3_2", "axis_3_3")
        w = episode["neural_states/w"]
        assert w.dims == ("timesteps", "neuron", "axis_3")
        assert_array_equal(w.sel(neuron=101)[0], [3.0, 4.0, 5.0])
