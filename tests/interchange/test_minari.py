"""Minari datasets have the recording's steps, each with what was seen, done and earned, and how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import ExperimentLoader, ExportError
from recorder import DataExporter, OptionError

minari = pytest.importorskip("minari")
spaces = pytest.importorskip("gymnasium.spaces")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
LENGTHS = (4, 1, 7)
STREAMS: dict[str, Any] = {
    "observations": "behavior/seen",
    "actions": "behavior/done",
    "terminations": "behavior/over",
    "truncations": False,
    "final_observation": "last/seen",
}


@pytest.fixture(autouse=True)
def _datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    with DataExporter("played", output_base_dir=str(tmp_path_factory.mktemp("played"))) as out:
        for length in LENGTHS:
            out.start_episode()
            for step in range(10, 10 + length):
                last = step == 9 + length
                seen = rng.integers(0, 255, (40, 40, 3), np.uint8)  # what Minari would take for a picture
                row = {"seen": seen, "angle": rng.random(), "done": step % 3, "over": last}
                out.log(timestep=step, behavior=row, reward=rng.random())
            final = rng.integers(0, 255, (40, 40, 3), np.uint8)
            both = {"seen": final, "angle": np.float64(0.5)}
            out.log(timestep=step, event_type="end", data={"both": both, "one": {"seen": final}})
            out.log_static_episode_data("last", {"seen": final, "wrong": np.zeros(2)})
            out.end_episode()
    return Path(out.output_dir)


def test_steps_come_back_equal(played: Path) -> None:
    with ExperimentLoader(played) as experiment:
        experiment.to_minari("ours/played-v0", **STREAMS)
        dataset = minari.load_dataset("ours/played-v0")
        assert (dataset.total_episodes, dataset.total_steps) == (3, sum(LENGTHS))
        for number, found in enumerate(dataset.iterate_episodes()):
            episode = experiment.get_episode(number)
            seen = episode.stream("behavior/seen").read()
            assert_array_equal(found.observations[:-1], seen)
            assert_array_equal(found.observations[-1], episode.get_static_data("last")["seen"])
            assert found.observations.dtype == np.uint8
            assert_array_equal(found.actions, episode.stream("behavior/done").read())
            assert found.rewards.tobytes() == episode.get_rewards()["rewards"].tobytes()
            assert_array_equal(found.terminations, episode.stream("behavior/over").read())
            assert not found.truncations.any()
            steps = episode.stream("behavior/seen").timesteps
            assert_array_equal(found.infos["timestep"], [*steps, steps[-1]])
            assert set(found.infos["episode_id"]) == {number}


def test_several_observations_and_the_last_event(played: Path) -> None:
    several = {"observations": {"seen": "behavior/seen", "angle": "behavior/angle"}}
    with ExperimentLoader(played) as experiment:
        dataset = experiment.to_minari(
            "both-v0", **STREAMS | several | {"final_observation": "events/end/both"}, episodes=[2]
        )
        (found,) = dataset.iterate_episodes()
        angle = experiment.get_episode(2).stream("behavior/angle").read()
        assert_array_equal(found.observations["angle"], [*angle, 0.5])
        assert len(found.observations["seen"]) == len(found.rewards) + 1 == 8
        assert set(found.infos["episode_id"]) == {2}


def test_the_last_row_may_be_the_observation_alone(played: Path) -> None:
    with ExperimentLoader(played) as experiment:
        chosen = STREAMS | {"final_observation": "last row"}
        found = list(experiment.to_minari("last-v0", **chosen, episodes=[0, 2]).iterate_episodes())
        assert [len(episode.actions) for episode in found] == [3, 6]
        for episode in found:
            assert episode.terminations.tolist() == [False] * (len(episode.actions) - 1) + [True]
            assert len(episode.observations) == len(episode.actions) + 1
        chosen |= {"terminations": False, "truncations": True}
        marked = experiment.to_minari("cut-v0", **chosen, episodes=[0])
        assert next(iter(marked.iterate_episodes())).truncations.tolist() == [False, False, True]
        with pytest.raises(ExportError, match="has no step"):
            experiment.to_minari("none-v0", **chosen)


def test_spaces_that_values_are_in_are_kept(played: Path) -> None:
    chosen = STREAMS | {"observations": {"seen": "behavior/seen"}, "final_observation": "events/end/one"}
    own = {
        "observation_space": spaces.Dict({"seen": spaces.Box(0, 255, (40, 40, 3), np.uint8)}),
        "action_space": spaces.Discrete(3),
    }
    with ExperimentLoader(played) as experiment:
        dataset = experiment.to_minari("spaces-v0", **chosen | own)
        for episode in dataset.iterate_episodes():
            assert all(dataset.action_space.contains(action) for action in episode.actions)
            assert len(episode.infos["timestep"]) == len(episode.actions) + 1


def test_episodes_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with DataExporter("kinds", output_base_dir=str(tmp_path)) as out:
        for kind in (np.float64, np.float32):
            out.start_episode()
            for step in range(3):
                out.log(timestep=step, behavior={"o": np.full(2, np.nan, kind), "a": 0}, reward=1.0)
            out.end_episode()
    chosen = {"observations": "behavior/o", "actions": "behavior/a", "final_observation": "last row"}
    with ExperimentLoader(out.output_dir) as experiment:
        with pytest.raises(ExportError, match=r"a dataset has one kind|not all of them in the space"):
            experiment.to_minari("kinds-v0", **chosen, terminations=True, truncations=False, episodes=[1, 0])
        with pytest.raises(ExportError, match="a dataset has one kind"):
            experiment.to_minari("kinds-v0", **chosen, terminations=True, truncations=False)
        assert not (tmp_path / "datasets" / "kinds-v0").exists()
        experiment.to_minari("one-v0", **chosen, terminations=True, truncations=False, episodes=[1])


def test_what_does_not_fit_is_refused_and_leaves_nothing(played: Path, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"observations": "behavior/u"}, KeyError, "has no rows 'behavior/u'"),
        ({"final_observation": "final_state/none"}, ExportError, "has no final_state/none"),
        ({"final_observation": "last/wrong"}, ExportError, r"is float64 \(2,\), the others uint8"),
        ({"final_observation": "none"}, OptionError, "expected 'events/<type>/<key>'"),
        ({"terminations": "behavior/angle"}, ExportError, "expected one bool a row, got float64"),
        ({"actions": "behavior/over"}, OptionError, "behavior/over is bool: say in which space"),
        ({"actions": ["behavior/done"]}, OptionError, "actions: expected a stream"),
        ({"rewards": "behavior/seen"}, ExportError, "rewards: expected a number a row"),
        ({"about": {"foo": 1}}, OptionError, "Minari knows no foo; it knows algorithm_name"),
        ({"environment": "Nope-v7"}, OptionError, "cannot make 'Nope-v7'"),
        ({"environment": "CartPole-v1"}, ExportError, "observations of .*: rows of uint8"),
        ({"action_space": spaces.Discrete(2)}, ExportError, "not all of them in the space Discrete"),
        ({"observation_space": spaces.Box(0, 255, (7,))}, ExportError, "not all of them in the space Box"),
        ({"action_space": spaces.Dict({"a": spaces.Discrete(3)})}, ExportError, "and the space is Dict"),
    ]
    with ExperimentLoader(played) as experiment:
        for change, kind, message in cases:
            with pytest.raises(kind, match=message):
                experiment.to_minari("lab/deep/none-v0", **STREAMS | change)
        assert not list((tmp_path / "datasets").iterdir())
        with pytest.raises(OptionError, match="Malformed dataset ID"):
            experiment.to_minari("bad id", **STREAMS)
        experiment.to_minari("once-v0", **STREAMS)
        with pytest.raises(FileExistsError):
            experiment.to_minari("once-v0", **STREAMS)
        assert minari.load_dataset("once-v0").total_episodes == 3
