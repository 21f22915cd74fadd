"""Recordings of the original system, and one that is still written, go elsewhere as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader
from loaders.find import recordings
from loaders.interchange.columns import blocks, columns, tables, together
from recorder import DataExporter

REFERENCE = Path(__file__).parent.parent / "data" / "reference"


@pytest.fixture(params=["snn_optimized_a", "snn_standard_a"])
def original(request: pytest.FixtureRequest) -> Iterator[ExperimentLoader]:
    with ExperimentLoader(next(recordings(REFERENCE / request.param))) as loader:
        yield loader


def test_tables_of_the_original_system_are_the_loaders(original: ExperimentLoader) -> None:
    for number in original.list_episodes():
        episode = original.get_episode(number)
        known = tables(episode)
        assert number or {"spikes", "rewards", "weight_changes", "events"} <= set(known)
        for name, own in (
            ("spikes", episode.get_spikes()),
            ("rewards", episode.get_rewards()),
            ("weight_changes", episode.get_weight_changes()),
        ):
            assert (name in known) == bool(own)
            found = together(blocks(episode, name)) if own else {}
            assert found.keys() == own.keys()
            assert all(np.array_equal(found[key], own[key]) for key in own)
        if "spikes" not in known:
            continue
        raster = columns(episode, "spikes")["spikes"]
        assert_array_equal(raster.read(0, len(raster)), episode.get_spike_raster())
        texts = together(blocks(episode, "events"))["data"]
        assert len(texts) == len(list(episode.iter_events()))


def test_nwb_has_weight_changes_of_both_kinds(original: ExperimentLoader, tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    original.to_nwb(tmp_path / "a.nwb", dt=0.001)
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        file = io.read()
        found = [
            value
            for table in file.processing["plasticity"].data_interfaces.values()
            for value in table["new_weights"][:].tolist()
        ]
    own = [original.get_episode(i).get_weight_changes()["new_weights"] for i in original.list_episodes()]
    assert sorted(found) == sorted(np.concatenate(own).tolist())


def test_a_recording_that_is_written_goes_as_far_as_it_is(tmp_path: Path) -> None:
    pynwb, torch = pytest.importorskip("pynwb"), pytest.importorskip("torch")
    pytest.importorskip("xarray")
    with DataExporter("live", output_base_dir=str(tmp_path), neural_sampling_rate=1) as out:
        out.start_episode()
        for step in range(3000):
            out.log(step, {"v": np.arange(3) + step}, np.arange(3) == step % 3, {"x": step})
        with ExperimentLoader(out.output_dir, newest=True) as loader:
            episode = loader.get_episode(0)
            expected = np.arange(3) + np.arange(3000)[:, None]
            tree = loader.to_xarray()
            assert_array_equal(tree["episodes/episode_0000/neural_states/v"].values, expected)
            episode.to_nwb(tmp_path / "a.nwb", dt=1.0)
            windows = loader.torch_windows(["neural_states/v", "spikes"], 100)
            assert torch.equal(windows[7]["neural_states/v"], torch.from_numpy(expected[7:107]))
        out.end_episode()
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert_array_equal(io.read().acquisition["v"].data[:], expected)
