"""What the wrapper records is what the environment gave, step by step."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import ClosedError, DataExporter, InputError, NoEpisodeError, OptionError

gymnasium = pytest.importorskip("gymnasium")
from gymnasium import spaces  # noqa: E402

from recorder.integrations.gymnasium import RecordEpisodes  # noqa: E402


class Nested(gymnasium.Env):
    """Observations in dicts and tuples, written into the same arrays at each step."""

    def __init__(self, size: int = 3) -> None:
        self.observation_space = spaces.Dict(
            {
                "camera": spaces.Box(0, 255, (2, 2), np.uint8),
                "body": spaces.Tuple((spaces.Discrete(9), spaces.MultiBinary(size))),
            }
        )
        self.action_space = spaces.Tuple((spaces.Discrete(2), spaces.Box(-1, 1, (2,), np.float32)))
        self.state = {"camera": np.zeros((2, 2), np.uint8), "body": (0, np.zeros(size, np.int8))}
        self.steps = 0

    def _observe(self) -> Any:
        camera, (_, bits) = self.state["camera"], self.state["body"]
        camera[:] = self.steps
        bits[:] = self.steps % 2
        self.state["body"] = (self.steps, bits)
        return self.state

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.steps = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        action[1][:] = 9.0  # the caller's array, as an environment that clips in place does
        return self._observe(), self.steps / 4, self.steps == 5, False, {"is_success": self.steps == 5}


def test_every_step_of_every_episode_is_what_the_environment_gave(exporter: DataExporter) -> None:
    env = RecordEpisodes(gymnasium.make("CartPole-v1", max_episode_steps=25), exporter)
    env.action_space.seed(3)
    episodes = []
    for number in range(6):
        observation, _ = env.reset(seed=number)
        rows = []
        while True:
            action = env.action_space.sample()
            after, reward, terminated, truncated, _ = env.step(action)
            rows.append((observation, action, reward, terminated, truncated))
            observation = after
            if terminated or truncated:
                break
        episodes.append((rows, after))
    env.close()
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        assert experiment.list_episodes() == list(range(6))
        assert experiment.get_metadata()["gymnasium"]["environment"] == "CartPole-v1"
        for number, (rows, final) in enumerate(episodes):
            episode = experiment.get_episode(number)
            behavior, rewards = episode.get_behavior(), episode.get_rewards()
            columns = [np.array(column) for column in zip(*rows, strict=True)]
            for name, wanted in zip(("observation", "action"), columns[:2], strict=True):
                assert behavior[name].dtype == wanted.dtype
                assert (behavior[name] == wanted).all()
            assert (rewards["rewards"] == columns[2]).all()
            assert (behavior["terminated"] == columns[3]).all()
            assert (behavior["truncated"] == columns[4]).all()
            assert behavior["timesteps"].tolist() == list(range(len(rows)))
            summary = experiment.get_episode_summary(number)
            assert (summary["final"]["observation"] == final).all()
            assert summary["final"]["observation"].dtype == final.dtype
            assert (summary["steps"], summary["return"]) == (len(rows), float(len(rows)))
            assert (summary["terminated"], summary["truncated"]) == rows[-1][3:]
            assert summary["seed"] == number


def test_nested_spaces_and_arrays_that_are_used_again(exporter: DataExporter) -> None:
    env = RecordEpisodes(Nested(), exporter, also=lambda info: {"behavior": {"won": info["is_success"]}})
    env.reset()
    for step in range(5):
        env.step((step % 2, np.full(2, step / 8, np.float32)))
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        behavior = episode.get_behavior()
        assert episode.get_metadata()["success"]
        final = experiment.get_episode_summary(0)["final"]
    assert (behavior["observation.camera"] == np.arange(5)[:, None, None]).all()
    assert behavior["observation.camera"].dtype == np.uint8
    assert behavior["observation.body.0"].tolist() == list(range(5))
    assert (behavior["observation.body.1"] == (np.arange(5) % 2)[:, None]).all()
    assert behavior["action.0"].tolist() == [0, 1, 0, 1, 0]
    assert (behavior["action.1"] == (np.arange(5, dtype=np.float32) / 8)[:, None]).all()
    assert behavior["won"].tolist() == [False] * 4 + [True]
    assert (final["observation.camera"] == 5).all()
    assert final["observation.body.0"] == 5


def test_a_reset_ends_what_ran_and_a_second_one_begins_nothing_new(exporter: DataExporter) -> None:
    env = RecordEpisodes(gymnasium.make("CartPole-v1"), exporter)
    with pytest.raises(NoEpisodeError, match="reset"):
        env.step(0)
    env.reset(seed=1)
    env.reset(seed=2)
    env.step(0)
    env.reset(seed=3)
    env.step(1)
    env.step(1)
    env.close()
    assert exporter.current_episode is None
    exporter.close()
    env.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        summaries = [experiment.get_episode_summary(n) for n in experiment.list_episodes()]
    assert [(s["seed"], s["steps"], s["terminated"]) for s in summaries] == [(2, 1, False), (3, 2, False)]


def test_a_step_after_the_end_is_refused_before_it_is_taken(exporter: DataExporter) -> None:
    env = RecordEpisodes(Nested(), exporter)
    env.reset()
    for _ in range(5):
        env.step((0, np.zeros(2, np.float32)))
    with pytest.raises(NoEpisodeError, match="reset"):
        env.step((0, np.zeros(2, np.float32)))
    assert env.unwrapped.steps == 5


def test_autoreset_goes_around_it(exporter: DataExporter) -> None:
    env = gymnasium.wrappers.Autoreset(RecordEpisodes(Nested(), exporter))
    env.reset()
    for _ in range(11):
        env.step((0, np.zeros(2, np.float32)))
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        rows = [len(experiment.get_episode(n).get_rewards()["rewards"]) for n in experiment.list_episodes()]
    assert rows == [5, 5]


def test_what_is_recorded_already_cannot_be_given_also(exporter: DataExporter) -> None:
    for also in (
        {"reward": 1.0},
        {"behavior": {"terminated": True}},
        5,
        {"timestep": 5},
        {5: 1},
        {"self": 1},
    ):
        env = RecordEpisodes(Nested(), exporter, also=lambda _, also=also: also)
        env.reset()
        with pytest.raises(InputError, match="also"):
            env.step((0, np.zeros(2, np.float32)))
        env.close()


def test_spaces_without_one_shape_are_refused_at_once(exporter: DataExporter) -> None:
    env = Nested()
    env.observation_space = spaces.Dict({"said": spaces.Text(10)})
    with pytest.raises(OptionError, match=r"observation\.said is of Text"):
        RecordEpisodes(env, exporter)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_is_told_whose_the_recording_is(exporter: DataExporter) -> None:
    pid = os.fork()
    if not pid:
        try:
            RecordEpisodes(Nested(), exporter)
        except ClosedError as error:
            os._exit("belongs to the process that opened it" not in str(error))
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    RecordEpisodes(Nested(), exporter).reset()


def test_two_arrays_of_one_name_are_refused_at_once(exporter: DataExporter) -> None:
    env, box = Nested(), spaces.Box(-1, 1, (1,), np.float32)
    env.observation_space = spaces.Dict({"a": spaces.Dict({"b": box}), "a.b": box})
    with pytest.raises(OptionError, match=r"2 arrays .* observation\.a\.b"):
        RecordEpisodes(env, exporter)
