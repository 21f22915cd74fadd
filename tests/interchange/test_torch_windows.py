"""Tensors and windows have the recording's values, in the memory that was read to, in every worker."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader, ExportError
from recorder import OptionError

torch = pytest.importorskip("torch")
NAMES = ["neural_states/v", "spikes", "behavior/x", "rewards"]


def expected(experiment: ExperimentLoader, number: int, rows: slice) -> dict[str, object]:
    episode = experiment.get_episode(number)
    return {
        "timesteps": episode.spike_timesteps()[rows],
        "neural_states/v": episode.stream("neural_states/v").read()[rows],
        "spikes": episode.get_spike_raster()[rows],
        "behavior/x": episode.stream("behavior/x").read()[rows],
        "rewards": episode.get_rewards()["rewards"][rows],
    }


def same(window: dict[str, torch.Tensor], own: dict[str, object]) -> None:
    assert window.keys() == own.keys()
    for name, values in own.items():
        assert_array_equal(window[name].numpy(), values)
        assert window[name].numpy().dtype == np.asarray(values).dtype


@pytest.mark.parametrize("in_memory", [False, True])
def test_windows_are_the_rows_of_their_episodes(experiment: ExperimentLoader, in_memory: bool) -> None:
    windows = experiment.torch_windows(NAMES, 25, stride=7, in_memory=in_memory)
    assert [windows.groups.locate(i) for i in (0, 5, 6, 12)] == [(0, 0), (0, 5), (1, 0), (2, 0)]
    # 60, 61 and 62 rows
    assert len(windows) == 18
    for index, window in enumerate(windows):
        number, place = divmod(index, 6)
        same(window, expected(experiment, number, slice(place * 7, place * 7 + 25)))
    same(windows[-1], expected(experiment, 2, slice(35, 60)))
    with pytest.raises(IndexError):
        windows[18]


def test_windows_in_memory_are_views(experiment: ExperimentLoader) -> None:
    windows = experiment.torch_windows(NAMES, 10, in_memory=True)
    first, second = windows[0]["neural_states/v"], windows[1]["neural_states/v"]
    assert first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
    assert second.data_ptr() - first.data_ptr() == first[0].nbytes


def test_tensors_lie_in_the_array_that_was_read(
    experiment: ExperimentLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = experiment.get_episode(0)
    stream = episode.stream("neural_states/v")
    read = []
    original = type(stream).__getitem__

    def kept(self: object, rows: slice) -> object:
        read.append(original(self, rows))
        return read[-1]

    monkeypatch.setattr(type(stream), "__getitem__", kept)
    tensor = episode.to_torch("neural_states/v")["v"]
    assert tensor.data_ptr() == read[-1].ctypes.data
    window = experiment.torch_windows(["neural_states/v"], 10)[3]["neural_states/v"]
    assert window.data_ptr() == read[-1].ctypes.data


def test_tables_of_numbers_become_tensors(experiment: ExperimentLoader) -> None:
    episode = experiment.get_episode(1)
    for name, own in (
        ("spikes", episode.get_spikes()),
        ("rewards", episode.get_rewards()),
        ("weight_changes", episode.get_weight_changes()),
        ("behavior/rare", {"rare": episode.stream("behavior/rare").read()}),
    ):
        found = episode.to_torch(name)
        for key, values in own.items():
            assert_array_equal(found[key].numpy(), values)
    with pytest.raises(KeyError, match="no numbers 'events'"):
        episode.to_torch("events")


def test_workers_and_pickles_read_the_same(experiment: ExperimentLoader) -> None:
    windows = experiment.torch_windows(NAMES, 20, stride=20)
    same(windows[0], expected(experiment, 0, slice(0, 20)))  # the parent has the file open
    loader = torch.utils.data.DataLoader(windows, batch_size=2, num_workers=1, multiprocessing_context="fork")
    for again in (
        list(loader),
        torch.utils.data.DataLoader(pickle.loads(pickle.dumps(windows)), batch_size=2),
    ):
        alone = list(torch.utils.data.DataLoader(windows, batch_size=2))
        assert len(alone) == 5
        for batch, other in zip(again, alone, strict=True):
            assert all(torch.equal(batch[name], other[name]) for name in other)


def test_what_does_not_fit_is_refused(experiment: ExperimentLoader) -> None:
    with pytest.raises(ExportError, match=r"behavior/rare of .* do not have the same timesteps"):
        experiment.torch_windows(["neural_states/v", "behavior/rare"], 5)
    with pytest.raises(KeyError, match="has no rows 'events'"):
        experiment.torch_windows(["events"], 5)
    with pytest.raises(OptionError, match="stride: expected 1 or more, got 0"):
        experiment.torch_windows(NAMES, 5, stride=0)
    with pytest.raises(OptionError, match="expected a list of streams, got 'spikes'"):
        experiment.torch_windows("spikes", 5)
    assert len(experiment.torch_windows(NAMES, 1000)) == 0


def test_without_torch_the_extra_is_named(
    experiment: ExperimentLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "loaders.interchange.torch_windows", raising=False)
    with pytest.raises(ImportError, match=r'pip install "flightrec\[torch\]"'):
        experiment.torch_windows(NAMES, 5)
