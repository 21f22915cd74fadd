"""Environments that step together: each recording is what its environment does alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentCollection, ExperimentLoader
from recorder import InputError, NoEpisodeError, OptionError, StreamTypeError

gymnasium = pytest.importorskip("gymnasium")
from gymnasium import spaces  # noqa: E402
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv  # noqa: E402
from gymnasium.wrappers.vector import DictInfoToList  # noqa: E402

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


def test_a_row_that_is_refused_costs_the_others_nothing(tmp_path: Path) -> None:
    envs = SyncVectorEnv([lambda: Countdown(9), lambda: Countdown(9)])
    with RecordVectorEpisodes(envs, "two", tmp_path) as recorded:
        recorded.reset()
        recorded.step([1, 2])
        with pytest.raises(InputError, match="action"):
            recorded.step([1.0, 2])
        recorded.step([1, 2])
    rows = []
    for exporter in recorded.exporters:
        with ExperimentLoader(exporter.output_dir) as experiment:
            rows.append(experiment.get_episode(0).get_behavior()["timesteps"].tolist())
    assert rows == [[0, 2], [0, 1, 2]]


class Faulty(gymnasium.Env):
    """Ends after two steps, and tells what it is given."""

    observation_space = spaces.Box(-9, 9, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, **tells: Any) -> None:
        self.tells, self.t = tells, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.t = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ARG002
        self.t += 1
        return np.full(1, self.t, np.float32), 1.0, self.t == 2, False, self.tells


def rows_of(recorded: RecordVectorEpisodes) -> list[list[tuple[list[float], bool, bool]]]:
    """Observations, whether it terminated, and success, by environment and episode."""
    out = []
    for exporter in recorded.exporters:
        with ExperimentLoader(exporter.output_dir) as experiment:
            episodes = [experiment.get_episode(number) for number in experiment.list_episodes()]
            out.append(
                [
                    (
                        one.get_behavior()["observation"][:, 0].tolist(),
                        bool(one.get_behavior()["terminated"][-1]),
                        one.get_metadata()["success"],
                    )
                    for one in episodes
                ]
            )
    return out


def raised_by(recorded: RecordVectorEpisodes, steps: int) -> list[tuple[int, Exception]]:
    """What steps raised, and at which."""
    errors = []
    for step in range(steps):
        try:
            recorded.step(np.zeros(recorded.num_envs, np.int64))
        except Exception as error:
            errors.append((step, error))
    return errors


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_an_end_that_fails_costs_the_other_environments_nothing(tmp_path: Path, mode: AutoresetMode) -> None:
    tells: list[dict[str, Any]] = [{"success": np.array([True, False])}, {}, {"is_success": "yes"}]
    envs = SyncVectorEnv([lambda t=t: Faulty(**t) for t in tells], autoreset_mode=mode)
    with RecordVectorEpisodes(envs, "three", tmp_path) as recorded:
        recorded.reset()
        errors = raised_by(recorded, 6)
    at = [1, 4] if mode == AutoresetMode.NEXT_STEP else [1, 3, 5]
    assert [step for step, _ in errors] == at
    for _, error in errors:
        assert isinstance(error, InputError)
        assert "bool of shape (2,)" in str(error)
        assert error.__notes__[0] == f"environment 0, {recorded.exporters[0].output_dir}"
        assert error.__notes__[1].startswith(f"environment 2, {recorded.exporters[2].output_dir}: InputError")
    assert rows_of(recorded) == [[([0.0, 1.0], True, False)] * len(at)] * 3


def test_what_success_raises_ends_the_episode_without_it(tmp_path: Path) -> None:
    def success(terminated: bool, truncated: bool, info: Any) -> bool:  # noqa: ARG001
        if info["bad"]:
            raise RuntimeError("the user's")
        return True

    envs = SyncVectorEnv([lambda b=b: Faulty(bad=b) for b in (True, False)])
    with RecordVectorEpisodes(envs, "two", tmp_path, success=success) as recorded:
        recorded.reset()
        errors = raised_by(recorded, 6)
    assert [(step, type(error)) for step, error in errors] == [(1, RuntimeError), (4, RuntimeError)]
    assert rows_of(recorded) == [[([0.0, 1.0], True, won)] * 2 for won in (False, True)]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_infos_may_be_a_list(tmp_path: Path, mode: AutoresetMode) -> None:
    envs = SyncVectorEnv([lambda w=w: Faulty(success=w) for w in (True, False)], autoreset_mode=mode)
    with RecordVectorEpisodes(DictInfoToList(envs), "two", tmp_path) as recorded:
        recorded.reset()
        assert raised_by(recorded, 2) == []
    assert rows_of(recorded) == [[([0.0, 1.0], True, won)] for won in (True, False)]
    with ExperimentLoader(recorded.exporters[0].output_dir) as experiment:
        assert experiment.get_episode_summary(0)["final"]["observation"].tolist() == [2.0]


class Refused(VectorEnv):
    """One observation of three environments is of another type than the others."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    num_envs = 3
    single_observation_space, observation_space = (spaces.Box(-9, 9, s, np.float32) for s in ((1,), (3, 1)))
    single_action_space, action_space = spaces.Discrete(2), spaces.MultiDiscrete([2] * 3)
    t = 0

    def _observe(self) -> Any:
        return np.full((3, 1), self.t, np.float64 if self.t == 1 else np.float32)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:  # noqa: ARG002
        return self._observe(), {}

    def step(self, actions: Any) -> Any:  # noqa: ARG002
        self.t += 1
        no = np.zeros(3, bool)
        return self._observe(), np.full(3, self.t, np.float64), no, no, {}


def test_each_refused_row_is_told_and_leaves_a_gap(tmp_path: Path) -> None:
    with RecordVectorEpisodes(Refused(), "three", tmp_path) as recorded:
        recorded.reset()
        ((step, error),) = raised_by(recorded, 4)
    assert (step, type(error)) == (1, StreamTypeError)
    assert [note.split(",")[0] for note in error.__notes__] == [f"environment {n}" for n in range(3)]
    for exporter in recorded.exporters:
        with ExperimentLoader(exporter.output_dir) as experiment:
            behavior, summary = experiment.get_episode(0).get_behavior(), experiment.get_episode_summary(0)
        assert behavior["timesteps"].tolist() == behavior["observation"][:, 0].tolist() == [0, 2, 3]
        assert (summary["steps"], summary["return"]) == (4, 10.0)


def test_an_observation_of_other_keys_costs_no_row_but_itself(tmp_path: Path) -> None:
    envs = SyncVectorEnv([lambda: Countdown(9), lambda: Countdown(9)])
    below = envs.step

    def step(actions: Any) -> Any:
        observations, *more = below(actions)
        if observations["at"][0, 0] == 2:
            del observations["odd"]
        return observations, *more

    envs.step = step  # type: ignore[method-assign]
    with RecordVectorEpisodes(envs, "two", tmp_path) as recorded:
        recorded.reset()
        ((at, error),) = raised_by(recorded, 4)
    assert at == 1
    assert isinstance(error, InputError)
    assert "expected a dict of 'at', 'odd', as its space, got 'at'" in str(error)
    for exporter in recorded.exporters:
        with ExperimentLoader(exporter.output_dir) as experiment:
            behavior = experiment.get_episode(0).get_behavior()
        assert behavior["timesteps"].tolist() == [0, 1, 2, 3]
        assert behavior["observation.at_timesteps"].tolist() == [0, 1, 3]
        assert behavior["observation.at"][:, 0].tolist() == [0, 1, 3]


@pytest.mark.parametrize("how", ["reset", "close"])
def test_all_episodes_end_though_the_end_of_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    envs = SyncVectorEnv([lambda: Countdown(9), lambda: Countdown(9)])
    with RecordVectorEpisodes(envs, "two", tmp_path) as recorded:
        recorded.reset()
        recorded.step(np.array([1, 2]))
        with monkeypatch.context() as patched, pytest.raises(OSError, match="full") as caught:
            full = lambda *_: (_ for _ in ()).throw(OSError(28, "full"))  # noqa: E731
            patched.setattr(recorded.exporters[0], "end_episode", full)
            getattr(recorded, how)()
        assert caught.value.__notes__ == [f"environment 0, {recorded.exporters[0].output_dir}"]
    assert envs.closed
    with ExperimentLoader(recorded.exporters[1].output_dir) as experiment:
        assert experiment.get_episode_summary(0)["steps"] == 1


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
