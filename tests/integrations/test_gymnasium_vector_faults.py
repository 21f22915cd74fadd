"""What goes wrong in one of environments that step together costs the others nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import InputError, StreamTypeError

gymnasium = pytest.importorskip("gymnasium")
from gymnasium import spaces  # noqa: E402
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv  # noqa: E402
from gymnasium.wrappers.vector import DictInfoToList  # noqa: E402

from recorder.integrations.gymnasium_vector import RecordVectorEpisodes  # noqa: E402
from tests.integrations.test_gymnasium_vector import Countdown  # noqa: E402


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
