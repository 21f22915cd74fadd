"""DataTrees have the recording's values under coordinates, read late, and unchanged through netCDF."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import EpisodeData, ExperimentLoader, ExportError
from loaders.interchange import columns, netcdf
from loaders.stream import StreamData
from recorder import DataExporter, OptionError
from recorder.format.document import loads

xr = pytest.importorskip("xarray")
ENGINE = "h5netcdf"


def same(tree: object, episode: EpisodeData) -> None:
    node = tree["neural_states"]  # type: ignore[index]
    for key in ("v", "slow"):
        stream = episode.stream(f"neural_states/{key}")
        assert_array_equal(node[key].values, stream.read())
        assert node[key].dtype == stream.dtype
        assert_array_equal(node[node[key].dims[0]].values, stream.timesteps)
    for key in ("x", "image", "rare"):
        stream = episode.stream(f"behavior/{key}")
        found = tree["behavior"][key]  # type: ignore[index]
        assert_array_equal(found.values, stream.read())
        assert found.dtype == stream.dtype
        assert_array_equal(found[found.dims[0]].values, stream.timesteps)
    assert_array_equal(tree["spikes/spikes"].values, episode.get_spike_raster())  # type: ignore[index]
    assert_array_equal(tree["spikes/timestep"].values, episode.spike_timesteps())  # type: ignore[index]
    assert_array_equal(tree["rewards/rewards"].values, episode.get_rewards()["rewards"])  # type: ignore[index]
    changes = episode.get_weight_changes()
    for key, values in changes.items():
        where = "timestep" if key == "timesteps" else key
        assert_array_equal(tree[f"weight_changes/{where}"].values, values)  # type: ignore[index]
    events = list(episode.iter_events())
    assert tree["events/timestep"].values.tolist() == [step for step, _, _ in events]  # type: ignore[index]
    texts = tree["events/data"].values  # type: ignore[index]
    assert [str(loads(text.encode())) for text in texts] == [str(data) for _, _, data in events]


def test_a_tree_has_the_loaders_values(experiment: ExperimentLoader) -> None:
    episode = experiment.get_episode(1)
    tree = episode.to_xarray(dt=0.001, units={"neural_states/v": "mV"})
    same(tree, episode)
    v = tree["neural_states/v"]
    assert v.dims == ("timestep", "neuron")
    assert v.attrs["units"] == "mV"
    assert v.coords["neuron_types"].values.tolist() == ["exc"] * 3 + ["inh"] * 2
    assert_array_equal(v.coords["time"].values, v.coords["timestep"].values * 0.001)
    assert v.coords["time"].attrs["units"] == "s"
    assert tree["neural_states/slow"].dims == ("slow_timestep", "slow_axis_1", "slow_axis_2")
    assert tree.attrs["episode_id"] == 1
    dims = {key: tree["behavior"][key].dims[0] for key in ("x", "image", "rare")}
    assert dims == {"x": "timestep", "image": "timestep", "rare": "rare_timestep"}


def test_events_and_changes_have_times_and_episodes_their_summary(experiment: ExperimentLoader) -> None:
    tree = experiment.to_xarray(dt=0.5)
    for number in range(3):
        node = tree[f"episodes/episode_{number:04d}"]
        for name in ("events", "weight_changes"):
            assert_array_equal(node[f"{name}/time"], node[f"{name}/timestep"].values * 0.5)
        assert loads(node.attrs["summary"].encode())["score"] == number / 3


def test_values_are_read_when_they_are_asked_for(
    experiment: ExperimentLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = experiment.get_episode(2)
    tree = episode.to_xarray()
    read: list[int] = []
    own = episode.stream("neural_states/v")

    def counted(self: object, rows: slice) -> object:
        read.append(rows.stop - rows.start)
        return original(self, rows)

    original = type(own).__getitem__
    monkeypatch.setattr(type(own), "__getitem__", counted)
    v = tree["neural_states/v"]
    picked = v.sel(timestep=slice(110, 119)).isel(neuron=[0, 3])
    assert not read
    assert_array_equal(picked.values, own.read(110, 120)[:, [0, 3]])
    assert read == [10]
    monkeypatch.setattr(columns, "BLOCK_BYTES", 7 * 20)
    whole = own.read()
    for rows in (slice(None), slice(3, 50, 9), slice(50, 3, -4), slice(5, 5), [3, 1, 1], 4):
        assert_array_equal(v.isel(timestep=rows, neuron=slice(None, None, 2)).values, whole[rows][..., ::2])
    assert max(read) <= 10


def test_trees_can_be_pickled(experiment: ExperimentLoader) -> None:
    episode = experiment.get_episode(0)
    same(pickle.loads(pickle.dumps(episode.to_xarray())), episode)


def test_netcdf_files_open_without_us(experiment: ExperimentLoader, tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf")
    experiment.to_xarray(dt="dt", units={"behavior/x": "m"}).to_netcdf(tmp_path / "all.nc", engine=ENGINE)
    with xr.open_datatree(tmp_path / "all.nc", engine=ENGINE) as tree:
        for number in experiment.list_episodes():
            same(tree[f"episodes/episode_{number:04d}"], experiment.get_episode(number))
        assert tree["episodes/episode_0000/behavior/x"].attrs["units"] == "m"
        assert loads(tree.attrs["config"].encode()) == experiment.get_config()


def test_netcdf_is_written_piece_by_piece_as_xarray_writes_it(
    experiment: ExperimentLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("h5netcdf")
    options: dict[str, Any] = {"dt": "dt", "units": {"behavior/x": "m"}, "episodes": [1]}
    experiment.to_xarray(**options).to_netcdf(tmp_path / "xarray.nc", engine=ENGINE)
    monkeypatch.setattr(netcdf, "_CHUNK", 100)
    monkeypatch.setattr(netcdf, "_SMALL", 0)
    monkeypatch.setattr(netcdf, "BLOCK_BYTES", 250)
    own, read = experiment.get_episode(0).stream("neural_states/v"), []

    def counted(self: StreamData, rows: slice) -> object:
        found: np.ndarray = original(self, rows)
        read.append(found.nbytes)
        return found

    original = type(own).__getitem__
    monkeypatch.setattr(type(own), "__getitem__", counted)
    path = experiment.to_netcdf(tmp_path / "ours.nc", **options)
    assert max(read) <= 250
    with (
        xr.open_datatree(tmp_path / "xarray.nc", engine=ENGINE) as theirs,
        xr.open_datatree(path, engine=ENGINE) as ours,
    ):
        xr.testing.assert_identical(ours, theirs)
        same(ours["episodes/episode_0001"], experiment.get_episode(1))
        found = ours["episodes/episode_0001/spikes/spikes"].encoding
        assert (found["zlib"], found["dtype"]) == (True, "bool")
    with pytest.raises(FileExistsError):
        experiment.to_netcdf(path)


def test_netcdf_has_no_half_precision_and_no_complex_numbers(tmp_path: Path) -> None:
    pytest.importorskip("h5netcdf")
    for name, value, kind in (("half", np.float16(1.5), "float16"), ("complex", 1j, "complex128")):
        with DataExporter(name, output_base_dir=str(tmp_path)) as out:
            out.start_episode()
            for step in range(4):
                out.log(timestep=step, behavior={"a": value})
            out.end_episode()
        with ExperimentLoader(out.output_dir) as loader:
            with pytest.raises(ExportError, match=f"behavior/a is {kind}"):
                loader.to_netcdf(tmp_path / "a.nc")
            assert not (tmp_path / "a.nc").exists()
            if kind == "float16":
                loader.to_netcdf(tmp_path / "half.nc", as_float32=True)
    with xr.open_datatree(tmp_path / "half.nc", engine=ENGINE) as tree:
        found = tree["episodes/episode_0000/behavior/a"]
        assert (found.dtype, found.values.tolist()) == (np.float32, [1.5] * 4)


def test_what_cannot_be_is_refused(experiment: ExperimentLoader, tmp_path: Path) -> None:
    episode = experiment.get_episode(0)
    with pytest.raises(KeyError, match=r"units: .* has no 'v'"):
        episode.to_xarray(units={"v": "mV"})
    with pytest.raises(KeyError, match="has no 'v'"):
        experiment.to_xarray(units={"v": "mV"})
    for dt, message in ((0.0, "greater than 0, got 0.0"), ("step", "no 'step'; it has dt, layers")):
        with pytest.raises(OptionError, match=message):
            episode.to_xarray(dt=dt)
    with DataExporter("names", output_base_dir=str(tmp_path)) as out:
        out.start_episode()
        out.log(timestep=0, behavior={"time": 1.0}, neural_state={"v": np.zeros(3)})
        out.end_episode()
    with ExperimentLoader(out.output_dir) as loader:
        assert loader.get_episode(0).to_xarray()["behavior/time"].values.tolist() == [1.0]
        assert loader.get_episode(0).to_xarray()["neural_states/v"].dims == ("timestep", "neuron")
        with pytest.raises(ExportError, match="'time' is the name of a coordinate"):
            loader.get_episode(0).to_xarray(dt=1.0)
