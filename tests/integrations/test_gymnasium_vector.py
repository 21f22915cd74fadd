"""Environments that step together: each recording is what its environment does alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentCollection, ExperimentLoader
from recorder import NoEpisodeError, OptionError

gymnasium = pytest.importorskip("gymnasium")
from gymnasium import spaces  # noqa: E402
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv  # noqa: E402

from recorder.integrations.gymnasium_vector import RecordVectorEpisodes  # noqa: E402


class Countdown(gymnasium.Env):
    """Ends after a number of steps that the seed says; observations tell step and episode."""

    observation_space = spaces.Dict({"at": spaces.Box(-9, 999, (2,), np.float32), "odd": spaces.Discrete(2)})
    action_space = spaces.Discrete(100)

    def __init__(self, length: int) -> None:
        self.length, self.episode, self.t = length, -1, 0

    def _observe(self) -> Any:
        return {"at": np.array([self.t, self.episode], np.float32), "odd": self.t % 2}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.episode += 1
        self.t = 0
        return self._observe(), {"fresh": True}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.t += 1
        over = self.t == self.length + self.episode
        return self._observe(), action / 8, over, False, {"is_success": over and self.episode % 2 == 0}


LENGTHS = (3, 5, 4)


def expected(length: int, actions: list[int]) -> Iterator[list[tuple[int, int]]]:
    """Steps and actions of each episode."""
    episode, rows = 0, []
    for action in actions:
        rows.append((len(rows), action))
        if len(rows) == length + episode:
            yield rows
            episode, rows = episode + 1, []
    if rows:
        yield rows


def drive(envs: Any, mode: AutoresetMode, steps: int = 20) -> list[list[int]]:
    """Actions that each environment took itself; those of steps that only reset are left out."""
    over = np.zeros(envs.num_envs, bool)
    taken: list[list[int]] = [[] for _ in range(envs.num_envs)]
    envs.reset(seed=7)
    for step in range(steps):
        if mode == AutoresetMode.DISABLED and over.any():
            envs.reset(options={"reset_mask": over.copy()})
            over[:] = False
        actions = np.arange(envs.num_envs) * 30 + step
        for index in range(envs.num_envs):
            if mode != AutoresetMode.NEXT_STEP or not over[index]:
                taken[index].append(int(actions[index]))
        _, _, terminations, truncations, _ = envs.step(actions)
        over = terminations | truncations
    return taken


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_each_recording_has_its_environments_own_episodes(tmp_path: Path, mode: AutoresetMode) -> None:
    envs = SyncVectorEnv(
        [lambda n=n: Countdown(n) for n in LENGTHS], autoreset_mode=mode, copy=False
    )  # observations are written into the same arrays
    with RecordVectorEpisodes(envs, "many", tmp_path) as recorded:
        taken = drive(recorded, mode)
    runs = ExperimentCollection(recorded.folder, index=False)
    assert len(runs) == len(recorded.exporters) == len(LENGTHS)
    for index, exporter in enumerate(recorded.exporters):
        with ExperimentLoader(exporter.output_dir) as experiment:
            metadata = experiment.get_metadata()["gymnasium"]
            assert (metadata["index"], metadata["autoreset_mode"]) == (index, mode.value)
            wanted = list(expected(LENGTHS[index], taken[index]))
            assert experiment.list_episodes() == list(range(len(wanted)))
            for number, rows in enumerate(wanted):
                episode = experiment.get_episode(number)
                behavior, rewards = episode.get_behavior(), episode.get_rewards()["rewards"]
                t, actions = (np.array(column) for column in zip(*rows, strict=True))
                assert behavior["timesteps"].tolist() == t.tolist()
                assert (behavior["observation.at"] == np.stack([t, np.full(len(t), number)], 1)).all()
                assert behavior["observation.at"].dtype == np.float32
                assert (behavior["observation.odd"] == t % 2).all()
                assert (behavior["action"] == actions).all()
                assert (rewards == actions / 8).all()
                whole = len(rows) == LENGTHS[index] + number
                assert behavior["terminated"].tolist() == [False] * (len(rows) - 1) + [whole]
                assert episode.get_metadata()["success"] == (whole and number % 2 == 0)
                summary = experiment.get_episode_summary(number)
                assert summary["final"]["observation.at"].tolist() == [len(rows), number]
                assert summary["seed"] == (None if number else 7 + index)
                assert (summary["steps"], summary["return"]) == (len(rows), rewards.sum())


def test_environments_in_processes_of_their_own(tmp_path: Path) -> None:
    envs = AsyncVectorEnv([lambda n=n: Countdown(n) for n in LENGTHS[:2]])
    recorded = RecordVectorEpisodes(envs, "many", tmp_path)
    taken = drive(recorded, AutoresetMode.NEXT_STEP, steps=9)
    recorded.close()
    recorded.close()
    for index, exporter in enumerate(recorded.exporters):
        with ExperimentLoader(exporter.output_dir) as experiment:
            actions = [experiment.get_episode(n).get_behavior()["action"] for n in experiment.list_episodes()]
        assert np.concatenate(actions).tolist() == taken[index]


def test_a_reset_in_the_middle_ends_with_what_was_seen_last(tmp_path: Path) -> None:
    with RecordVectorEpisodes(SyncVectorEnv([lambda: Countdown(9)]), "one", tmp_path) as envs:
        with pytest.raises(NoEpisodeError, match="reset"):
            envs.step(np.array([1]))
        envs.reset(seed=[3])
        envs.step(np.array([1]))
        envs.step(np.array([1]))
        envs.reset(seed=[4])
        envs.reset(seed=[5])
        envs.step(np.array([1]))
    with ExperimentLoader(envs.exporters[0].output_dir) as experiment:
        summaries = [experiment.get_episode_summary(n) for n in experiment.list_episodes()]
    assert [(s["seed"], s["steps"]) for s in summaries] == [(3, 2), (5, 1)]
    assert [s["final"]["observation.at"].tolist() for s in summaries] == [[2, 0], [1, 2]]


def test_an_error_ends_all_recordings_as_interrupted(tmp_path: Path) -> None:
    envs = SyncVectorEnv([lambda: Countdown(9), lambda: Countdown(9)])
    with pytest.raises(KeyboardInterrupt), RecordVectorEpisodes(envs, "two", tmp_path) as recorded:
        recorded.reset()
        recorded.step(np.array([1, 2]))
        raise KeyboardInterrupt
    assert envs.closed
    for exporter in recorded.exporters:
        with ExperimentLoader(exporter.output_dir) as experiment:
            assert experiment.get_episode(0).get_metadata()["status"] == "interrupted"
            assert len(experiment.get_episode(0).get_rewards()["rewards"]) == 1


def test_options_that_cannot_be_leave_nothing_behind(tmp_path: Path) -> None:
    envs = SyncVectorEnv([lambda: Countdown(9)])
    with pytest.raises(OptionError):
        RecordVectorEpisodes(envs, "none", tmp_path, compression="best")
    assert list(tmp_path.iterdir()) == []
    assert not envs.closed


def test_environments_that_do_not_say_how_they_reset_are_refused(tmp_path: Path) -> None:
    envs = SyncVectorEnv([lambda: Countdown(2)], autoreset_mode=AutoresetMode.SAME_STEP)
    envs.metadata = {}
    for options, words in (
        ({}, r"metadata\['autoreset_mode'\].* one of 'NextStep', 'SameStep', 'Disabled'"),
        ({"autoreset_mode": "same"}, "one of 'NextStep'.*'same' is not"),
    ):
        with pytest.raises(OptionError, match=words):
            RecordVectorEpisodes(envs, "none", tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
    with RecordVectorEpisodes(envs, "one", tmp_path, autoreset_mode="SameStep") as recorded:
        recorded.reset()
        for _ in range(2 + 3):
            recorded.step(np.array([1]))
    with ExperimentLoader(recorded.exporters[0].output_dir) as experiment:
        rows = [experiment.get_episode(n).get_behavior()["timesteps"] for n in experiment.list_episodes()]
        assert experiment.get_metadata()["gymnasium"]["autoreset_mode"] == "SameStep"
    assert [row.tolist() for row in rows] == [[0, 1], [0, 1, 2]]


def test_a_mode_other_than_the_environments_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="metadata say"):
        RecordVectorEpisodes(
            SyncVectorEnv([lambda: Countdown(2)]), "none", tmp_path, autoreset_mode="SameStep"
        )


def test_the_seed_of_each_environment_gives_its_episode_again(tmp_path: Path) -> None:
    envs = SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 3)
    with RecordVectorEpisodes(envs, "three", tmp_path) as recorded:
        recorded.reset(seed=7)
        recorded.step(np.zeros(3, np.int64))
    for exporter in recorded.exporters:
        with ExperimentLoader(exporter.output_dir) as experiment:
            first = experiment.get_episode(0).get_behavior()["observation"][0]
            seed = experiment.get_episode_summary(0)["seed"]
        assert (gymnasium.make("CartPole-v1").reset(seed=seed)[0] == first).all()
