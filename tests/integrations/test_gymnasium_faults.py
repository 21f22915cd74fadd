"""Whatever an environment does wrong, its episodes end, and what was refused is told and leaves a gap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, InputError, NoEpisodeError, StreamTypeError

gymnasium = pytest.importorskip("gymnasium")
from gymnasium import spaces  # noqa: E402

from recorder.integrations.gymnasium import RecordEpisodes  # noqa: E402


class Odd(gymnasium.Env):
    """Gives what it is told to: functions of the number of steps since the reset."""

    observation_space: Any = spaces.Box(-99, 99, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, length: int = 3, **gives: Any) -> None:
        self.length, self.t, self.closed = length, 0, False
        self.gives = {
            "observation": lambda t: np.full(2, t, np.float32),
            "reward": float,
            "info": lambda _: {},
        }
        self.gives |= gives

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:  # noqa: ARG002
        self.t = 0
        return self.gives["observation"](0), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, Any]:  # noqa: ARG002
        self.t += 1
        observation, reward, info = (self.gives[key](self.t) for key in ("observation", "reward", "info"))
        return observation, reward, self.t == self.length, False, info

    def close(self) -> None:
        self.closed = True


def told_by(function: Any, *arguments: Any) -> Exception | None:
    """What it raises."""
    try:
        function(*arguments)
    except Exception as error:
        return error
    return None


def episodes_of(exporter: DataExporter) -> list[tuple[list[int], dict[str, Any], bool]]:
    """Timesteps, summary and success of each."""
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        out = []
        for number in experiment.list_episodes():
            episode = experiment.get_episode(number)
            steps = episode.get_behavior()["timesteps"].tolist()
            out.append((steps, experiment.get_episode_summary(number), episode.get_metadata()["success"]))
        return out


def test_an_episode_ends_without_a_last_observation_that_cannot_be_stored(exporter: DataExporter) -> None:
    observed = lambda t: None if t == 3 else np.full(2, t, np.float32)  # noqa: E731
    env = RecordEpisodes(Odd(observation=observed), exporter)
    for _ in range(2):
        env.reset()
        errors = [told_by(env.step, 0) for _ in range(3)]
        assert errors[:2] == [None, None]
        assert isinstance(errors[2], InputError)
        assert "observation at timestep 3" in str(errors[2])
        assert exporter.current_episode is None
    env.close()
    for steps, summary, _ in episodes_of(exporter):
        assert (steps, summary["steps"], summary["return"]) == ([0, 1, 2], 3, 6.0)
        assert (summary["terminated"], summary["final"]) == (True, {})


def test_a_seed_that_cannot_be_stored_keeps_no_episode_open(exporter: DataExporter) -> None:
    env = RecordEpisodes(Odd(), exporter)
    env.reset(seed=np.random.SeedSequence(5))
    env.step(0)
    env.close()
    assert "entropy=5" in episodes_of(exporter)[0][1]["seed"]


@pytest.mark.parametrize(
    ("success", "wanted"),
    [
        (True, True),
        (np.bool_(True), True),
        (1.0, True),
        (np.array([1]), True),
        (None, False),
        (np.array([True, False]), None),
        ("yes", None),
    ],
)
def test_success_is_what_the_environment_says_if_that_is_one_thing(
    exporter: DataExporter, success: Any, wanted: bool | None
) -> None:
    env = RecordEpisodes(Odd(info=lambda _: {"success": success}), exporter)
    for _ in range(2):
        env.reset()
        errors = [told_by(env.step, 0) for _ in range(3)]
        assert errors[:2] == [None, None]
        assert (errors[2] is None) == (wanted is not None)
        if wanted is None:
            assert isinstance(errors[2], InputError)
            assert "Give success=" in str(errors[2])
    assert [(steps, won) for steps, _, won in episodes_of(exporter)] == [([0, 1, 2], bool(wanted))] * 2


def test_what_success_raises_comes_after_the_end(exporter: DataExporter) -> None:
    def ambiguous(terminated: bool, truncated: bool, info: Any) -> Any:  # noqa: ARG001
        return info["won"]  # of two

    env = RecordEpisodes(Odd(1, info=lambda _: {"won": np.ones(2)}), exporter, success=ambiguous)
    env.reset()
    assert isinstance(told_by(env.step, 0), InputError)
    env = RecordEpisodes(Odd(1), exporter, success=ambiguous)
    env.reset()
    assert isinstance(told_by(env.step, 0), KeyError)
    assert [(steps, won) for steps, _, won in episodes_of(exporter)] == [([0], False)] * 2


def test_a_refused_row_leaves_a_gap_and_the_episode_ends_when_it_does(exporter: DataExporter) -> None:
    observed = lambda t: np.full(2, t, np.float64 if t in (1, 3) else np.float32)  # noqa: E731
    env = RecordEpisodes(Odd(4, observation=observed), exporter)
    for _ in range(2):
        env.reset(seed=1)
        errors = [told_by(env.step, 0) for _ in range(4)]
        assert [type(error) for error in errors] == [type(None), StreamTypeError] * 2
        assert exporter.current_episode is None
    for steps, summary, _ in episodes_of(exporter):
        assert (steps, summary["steps"], summary["return"]) == ([0, 2], 4, 10.0)
        assert (summary["terminated"], summary["final"]["observation"].tolist()) == (True, [4.0, 4.0])


def test_the_return_is_nan_when_a_reward_is_no_number(exporter: DataExporter) -> None:
    env = RecordEpisodes(Odd(reward=lambda t: np.ones(2) if t == 2 else 1.0), exporter)
    env.reset()
    assert [type(told_by(env.step, 0)) for _ in range(3)] == [type(None), StreamTypeError, type(None)]
    ((steps, summary, _),) = episodes_of(exporter)
    assert (steps, summary["steps"], np.isnan(summary["return"])) == ([0, 2], 3, True)


def test_also_that_fails_is_a_gap_too_and_further_errors_are_notes(exporter: DataExporter) -> None:
    env = RecordEpisodes(
        Odd(2, info=lambda t: {"success": "?", "t": t} if t == 2 else {"t": t}),
        exporter,
        also=lambda info: {"neural_state": {"v": 1.0 / (info["t"] - 2)}},
    )
    env.reset()
    env.step(0)
    error = told_by(env.step, 0)
    assert isinstance(error, ZeroDivisionError)
    assert "InputError: success: expected one truth value" in error.__notes__[0]
    ((steps, summary, _),) = episodes_of(exporter)
    assert (steps, summary["steps"], summary["terminated"]) == ([0], 2, True)


def test_the_environment_is_closed_even_where_its_episode_cannot_be_ended(
    exporter: DataExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = RecordEpisodes(inner := Odd(), exporter)
    env.reset()
    env.step(0)
    with monkeypatch.context() as patched:
        patched.setattr(exporter, "end_episode", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        assert isinstance(told_by(env.close), OSError)
    assert inner.closed


ONE = spaces.Box(-9, 9, (1,), np.float32)


@pytest.mark.parametrize(
    ("space", "wrong", "words"),
    [
        (
            spaces.Dict({"a": ONE, "b": ONE}),
            {"a": np.ones(1, "f4")},
            "observation.*: expected a dict of 'a', 'b'.*, got 'a'",
        ),
        (spaces.Dict({"a": ONE}), {"a": np.ones(1, "f4"), "mask": 1}, "got 'a', 'mask'"),
        (spaces.Dict({"a": spaces.Dict({"b": ONE})}), {"a": 5}, r"observation\.a.*dict of 'b'.*got int"),
        (spaces.Tuple((ONE, ONE)), (np.ones(1, "f4"),), "a tuple of 2.*got tuple of 1"),
        (spaces.Tuple((ONE,)), 5, "a tuple of 1.*got int"),
    ],
)
def test_observations_and_actions_have_the_keys_of_their_spaces(
    exporter: DataExporter, space: Any, wrong: Any, words: str
) -> None:
    right = space.sample()
    inner = Odd(5, observation=lambda t: wrong if t == 2 else right)
    inner.observation_space = inner.action_space = space
    env = RecordEpisodes(inner, exporter)
    env.reset()
    env.step(right)
    with pytest.raises(InputError, match=words.replace("observation", "action")):
        env.step(wrong)
    assert inner.t == 1
    with pytest.raises(InputError, match=words) as caught:
        env.step(right)
    assert caught.value.step == 2
    env.step(right)
    env.step(right)
    inner.gives["observation"] = lambda _: wrong
    with pytest.raises(InputError, match=words):
        env.reset()
    assert exporter.current_episode is None
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        behavior = experiment.get_episode(0).get_behavior()
        assert experiment.get_episode_summary(0)["steps"] == 4
    assert behavior["timesteps"].tolist() == [0, 1, 2, 3]
    observed = [key for key in behavior if key.startswith("observation") and not key.endswith("_timesteps")]
    for name in observed:
        assert behavior[f"{name}_timesteps"].tolist() == [0, 1, 3]
    assert observed


def test_each_episode_says_of_which_environment_it_is(exporter: DataExporter) -> None:
    for inner in (gymnasium.make("CartPole-v1"), Odd()):
        env = RecordEpisodes(inner, exporter)
        env.reset()
        env.step(0)
        env.close()
    names = [summary["environment"] for _, summary, _ in episodes_of(exporter)]
    assert names == ["CartPole-v1", f"{__name__}:Odd"]


def test_an_end_that_failed_is_tried_again(exporter: DataExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    env = RecordEpisodes(Odd(1, info=lambda _: {"success": True}), exporter)
    env.reset()
    with monkeypatch.context() as patched:
        patched.setattr(exporter, "end_episode", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        assert isinstance(told_by(env.step, 0), OSError)
    assert isinstance(told_by(env.step, 0), NoEpisodeError)
    env.reset()
    env.step(0)
    episodes = episodes_of(exporter)
    assert [(steps, summary["steps"], won) for steps, summary, won in episodes] == [([0], 1, True)] * 2
