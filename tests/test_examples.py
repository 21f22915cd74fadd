"""The examples run, at small sizes, and show what they say they show."""

from __future__ import annotations

import runpy
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from loaders import ExperimentLoader

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return import_module(name)


def test_quickstart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / "quickstart.py"), run_name="__main__")
    assert "10 episodes" in capsys.readouterr().out


def _importable(name: str) -> str:
    """Why a package cannot be used here, or nothing; Brian2 2.9 fails on import under NumPy 2.4."""
    try:
        import_module(name)
    except (ImportError, AttributeError) as error:
        return f"{name} cannot be imported: {error}"
    return ""


@pytest.fixture(scope="module")
def _brian2() -> None:
    if reason := _importable("brian2"):
        pytest.skip(reason)


@pytest.mark.usefixtures("_brian2")
def test_brian2_spikes_equal_its_own_monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("brian2_network", monkeypatch)
    folder, coba = example.record(tmp_path, n=1000, duration=100.0)
    assert example.same_spikes(folder, coba) > 300
    assert example.plot(folder).stat().st_size > 10_000
    with ExperimentLoader(folder) as experiment:
        episode = experiment.get_episode(0)
        assert episode.get_metadata()["total_timesteps"] == 1000
        assert episode.get_neural_states()["v"].shape == (100, 1000)
        assert episode.n_neurons == 1000
        network = experiment.get_network_structure()
        connections = coba.connections()
        for column, values in connections.items():
            assert (network["connections"][column] == values).all()
        weights = experiment.get_initial_weights()
        assert weights.shape == (1000, 1000)
        assert abs(weights).sum() == pytest.approx(abs(connections["weights"]).sum())


@pytest.mark.usefixtures("_brian2")
def test_brian2_comparison_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("brian2_network", monkeypatch)
    folder, _ = example.record(tmp_path, n=200, duration=20.0, seed=1)
    _, other = example.record(tmp_path, n=200, duration=20.0, seed=2)
    with pytest.raises(AssertionError, match="not those"):
        example.same_spikes(folder, other)


def test_cartpole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if reason := _importable("gymnasium"):
        pytest.skip(reason)
    example = load("gymnasium_cartpole", monkeypatch)
    folder = example.record(tmp_path, episodes=25)
    example.report(folder)
    assert "mean return" in capsys.readouterr().out
    with ExperimentLoader(folder) as experiment:
        assert experiment.list_episodes() == list(range(25))
        for number in range(25):
            episode = experiment.get_episode(number)
            behavior, rewards = episode.get_behavior(), episode.get_rewards()["rewards"]
            ends = behavior["terminated"] | behavior["truncated"]
            assert ends[-1]
            assert not ends[:-1].any()
            assert len(rewards) == rewards.sum() == experiment.get_episode_summary(number)["steps"]
            assert behavior["observation"].shape == (len(rewards), 4)
            assert len(episode.get_events("end")["timesteps"]) == 1


def test_training_on_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    example = load("train_on_recording", monkeypatch)
    known, new = example.caches(tmp_path, episodes=3, steps=300)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        network = example.train(known, epochs=2)
        assert "epoch 1: loss" in capsys.readouterr().out
        assert 0.4 < example.score(network, new, known) <= 1.0
    finally:
        torch.set_num_threads(threads)
