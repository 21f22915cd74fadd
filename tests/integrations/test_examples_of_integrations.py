"""The examples of integrations run, and record what they compute."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from loaders import ExperimentCollection, ExperimentLoader

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module(name)


def test_recorded_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("recorded_step", monkeypatch)
    folder = example.record(tmp_path, steps=200)
    network = example.Network()
    with ExperimentLoader(folder) as experiment:
        episode = experiment.get_episode(0)
        raster, v = episode.get_spike_raster(), episode.get_neural_states()["v"]
    for t in range(200):
        network.step()
        assert (raster[t] == network.spikes).all()
        if t % 10 == 0:
            assert (v[t // 10] == network.v).all()


def test_recorded_gymnasium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gymnasium")
    folder = load("recorded_gymnasium", monkeypatch).record(tmp_path, episodes=3)
    with ExperimentLoader(folder) as experiment:
        for number in experiment.list_episodes():
            observations = experiment.get_episode(number).get_behavior()["observation"]
            summary = experiment.get_episode_summary(number)
            assert len(observations) == summary["steps"] == summary["return"] > 0


def test_recorded_gymnasium_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gymnasium")
    folder = load("recorded_gymnasium_vector", monkeypatch).record(tmp_path, steps=60, num_envs=2)
    runs = ExperimentCollection(folder, index=False)
    assert len(runs) == 2
    for run in runs:
        with run.load() as experiment:
            for number in experiment.list_episodes()[:-1]:
                assert experiment.get_episode(number).get_behavior()["terminated"][-1]


def test_recorded_brian2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        example = load("recorded_brian2", monkeypatch)
    except (ImportError, AttributeError) as error:  # Brian2 2.9 fails under NumPy 2.4
        pytest.skip(f"brian2 cannot be imported: {error}")
    folder, spikes = example.record(tmp_path, duration=30.0, n=10)
    with ExperimentLoader(folder) as experiment:
        recorded = experiment.get_episode(0).get_spikes()["neuron_ids"]
    assert sorted(recorded.tolist()) == sorted(spikes.i[:].tolist()) != []


def test_triggered_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = load("triggered_capture", monkeypatch).record(tmp_path, steps=10_000)
    with ExperimentLoader(folder) as experiment:
        episode = experiment.get_episode(0)
        bursts = episode.get_events("capture")["timesteps"]
        assert [t // 5000 for t in bursts.tolist()] == [0, 1]
        assert 500 <= len(episode.get_neural_states()["v"]) < 700


def test_recorded_snntorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("snntorch")
    folder, spikes = load("recorded_snntorch", monkeypatch).record(tmp_path, steps=30)
    with ExperimentLoader(folder) as experiment:
        episode = experiment.get_episode(0)
        assert (episode.get_spike_raster()[:, 50:] == spikes.detach().numpy()[:, 0]).all()
        assert episode.get_neural_states()["hidden.mem"].shape == (30, 1, 50)
    assert spikes.sum() > 0


def test_recorded_nengo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nengo = pytest.importorskip("nengo")
    nengo.rc.set("decoder_cache", "enabled", "False")
    folder = load("recorded_nengo", monkeypatch).record(tmp_path, steps=250)
    with ExperimentLoader(folder) as experiment:
        episode = experiment.get_episode(0)
        t = episode.get_behavior()["timesteps"] * experiment.get_metadata()["nengo"]["dt"]
        error = episode.get_behavior()["decoded"][100:, 0] - np.sin(2 * np.pi * t[100:])
        assert np.abs(error).mean() < 0.2
        assert len(episode.get_neural_states()["voltage"]) == 25


def test_recorded_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    folder = load("recorded_gpu", monkeypatch).record(tmp_path, steps=50, n=20)
    with ExperimentLoader(folder) as experiment:
        episode = experiment.get_episode(0)
        v, raster = episode.get_neural_states()["v"], episode.get_spike_raster()
        assert v.shape == (5, 20)
        assert (raster[::10] == (v > 1.0)).all()
        assert len(episode.get_rewards()["rewards"]) == 50
