"""Environments on a GPU: it is a stand-in here, whose tensors refuse to be arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter

torch = pytest.importorskip("torch")
gymnasium = pytest.importorskip("gymnasium")
from gymnasium import spaces  # noqa: E402
from gymnasium.vector import AutoresetMode, VectorEnv  # noqa: E402

from recorder.integrations.gymnasium import RecordEpisodes  # noqa: E402
from recorder.integrations.gymnasium_vector import RecordVectorEpisodes  # noqa: E402
from recorder.integrations.staged import Staged  # noqa: E402

OnCard = Callable[[Any], Any]


class Tensor(torch.Tensor):
    """Says that it is on a GPU, and is no array before it was asked for its copy."""

    is_cuda = True

    def detach(self) -> Any:
        return self

    def cpu(self) -> Any:  # type: ignore[override]
        return self.as_subclass(torch.Tensor).clone()

    def numpy(self, **_: Any) -> Any:  # type: ignore[override]
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __array__(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        return self.numpy()


class Event:
    def record(self, stream: Any) -> None:
        """Copies of the stand-in are done at once."""

    def synchronize(self) -> None:
        """So there is nothing to wait for."""


@pytest.fixture
def on_card(monkeypatch: pytest.MonkeyPatch) -> OnCard:
    empty = torch.empty

    def unpinned(*shape: Any, pin_memory: bool = False, **more: Any) -> Any:  # noqa: ARG001
        return empty(*shape, **more)

    monkeypatch.setattr(torch, "empty", unpinned)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: None)
    return lambda values: torch.as_tensor(values).as_subclass(Tensor)


class Alone(gymnasium.Env):
    observation_space, action_space = spaces.Box(-9, 9, (2,), np.float32), spaces.Discrete(2)

    def __init__(self, on_card: OnCard) -> None:
        self.on_card, self.t = on_card, 0
        self.observation = on_card(np.zeros(2, np.float32))

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:  # noqa: ARG002
        self.t = 0
        self.observation[:] = 0
        return self.observation, {}

    def step(self, action: Any) -> Any:  # noqa: ARG002
        self.t += 1
        self.observation += 1  # in place
        info = {"success": self.on_card(np.array(True))}
        return self.observation, self.on_card(np.float32(0.5)), self.t == 3, False, info


def test_one_before_staged(tmp_path: Path, on_card: OnCard) -> None:
    with DataExporter("card", tmp_path, ring_bytes=1 << 20) as exporter, Staged(exporter) as staged:
        env = RecordEpisodes(Alone(on_card), staged)
        for _ in range(2):
            env.reset()
            for action in range(3):
                env.step(action % 2)
    with ExperimentLoader(exporter.output_dir) as experiment:
        for number in range(2):
            episode, summary = experiment.get_episode(number), experiment.get_episode_summary(number)
            assert episode.get_behavior()["observation"].tolist() == [[t, t] for t in range(3)]
            assert episode.get_rewards()["rewards"].tolist() == [0.5] * 3
            assert episode.get_metadata()["success"]
            assert summary["final"]["observation"].tolist() == [3.0, 3.0]
            assert summary["return"] == 1.5


class Together(VectorEnv):
    metadata = {"autoreset_mode": AutoresetMode.DISABLED}  # noqa: RUF012
    num_envs = 2
    single_observation_space, observation_space = (spaces.Box(-9, 9, s, np.float32) for s in ((2,), (2, 2)))
    single_action_space, action_space = spaces.Discrete(2), spaces.MultiDiscrete([2] * 2)

    def __init__(self, on_card: OnCard) -> None:
        self.on_card, self.t = on_card, np.zeros(2, np.float32)

    def _observe(self) -> Any:
        return self.on_card(np.stack([self.t, self.t], 1))

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:  # noqa: ARG002
        self.t[(options or {}).get("reset_mask", self.on_card([True, True])).cpu().numpy()] = 0
        return self._observe(), {}

    def step(self, actions: Any) -> Any:  # noqa: ARG002
        self.t += 1
        over, no = self.on_card(self.t == [2, 3]), self.on_card([False, False])
        return self._observe(), self.on_card(self.t / 2), over, no, {"success": self.on_card([True, False])}


def test_a_vector_of_them(tmp_path: Path, on_card: OnCard) -> None:
    with RecordVectorEpisodes(Together(on_card), "card", tmp_path) as envs:
        envs.reset()
        for _ in range(6):
            _, _, over, _, _ = envs.step(on_card([0, 1]))
            if over.any():
                envs.reset(options={"reset_mask": over})
    for length, exporter in zip((2, 3), envs.exporters, strict=True):
        with ExperimentLoader(exporter.output_dir) as experiment:
            for number in range(6 // length):
                episode, summary = experiment.get_episode(number), experiment.get_episode_summary(number)
                behavior = episode.get_behavior()
                assert behavior["observation"].tolist() == [[t, t] for t in range(length)]
                assert behavior["action"].tolist() == [length - 2] * length
                assert behavior["terminated"].tolist() == [False] * (length - 1) + [True]
                assert episode.get_rewards()["rewards"].tolist() == [(t + 1) / 2 for t in range(length)]
                assert episode.get_metadata()["success"] == (length == 2)
                assert summary["final"]["observation"].tolist() == [length] * 2
