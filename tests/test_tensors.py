"""Tensors on the CPU are stored as the arrays that they are, by the same short way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, StreamTypeError
from recorder.steplog import StepLog

torch = pytest.importorskip("torch")


def rows(steps: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "neural_state": {"v": rng.normal(size=(2, 3)), "u": rng.normal(size=7).astype(np.float16)},
            "spikes": rng.random(5) > 0.5,
            "behavior": {"x": np.float32(rng.normal()), "n": rng.integers(0, 9, 2), "z": np.ones(2) * 1j},
            "reward": float(rng.normal()),
        }
        for _ in range(steps)
    ]


def tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: tensors(part) for key, part in value.items()}
    tensor = torch.from_numpy(np.asarray(value).copy())
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


def stored(exporter: DataExporter) -> dict[str, Any]:
    exporter.close()
    with ExperimentLoader(exporter.output_dir) as experiment:
        episode = experiment.get_episode(0)
        return {
            "states": episode.get_neural_states(),
            "behavior": episode.get_behavior(),
            "rewards": episode.get_rewards(),
            "spikes": {"spikes": episode.get_spike_raster()},
        }


@pytest.mark.parametrize("rate", [1, 3])
def test_tensors_are_stored_like_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    admitted = 0
    admit = StepLog._admit

    def counted(self: StepLog, *arguments: Any) -> None:
        nonlocal admitted
        admitted += 1
        admit(self, *arguments)

    monkeypatch.setattr(StepLog, "_admit", counted)
    given, counts = [], []
    for number, convert in enumerate((lambda value: value, tensors)):
        exporter = DataExporter("t", tmp_path / str(number), neural_sampling_rate=rate, ring_bytes=1 << 20)
        exporter.start_episode()
        admitted = 0
        for t, row in enumerate(rows(200)):
            exporter.log(t, **convert(row))
        given.append(stored(exporter))
        counts.append(admitted)
    assert counts[0] == counts[1] < 20
    for group, streams in given[0].items():
        for key, values in streams.items():
            assert given[1][group][key].dtype == values.dtype
            assert (given[1][group][key] == values).all()


def test_what_is_no_array_as_it_stands_is_looked_at(tmp_path: Path) -> None:
    exporter = DataExporter("t", tmp_path, neural_sampling_rate=1, ring_bytes=1 << 20)
    exporter.start_episode()
    exporter.log(0, {"v": torch.ones(2)}, reward=torch.tensor(1))
    exporter.log(1, {"v": torch.ones(2)}, reward=torch.tensor(2))
    exporter.log(2, {"v": torch.ones(2)}, reward=torch.tensor(True))
    for value in (torch.ones(2, dtype=torch.bfloat16), torch.eye(2).to_sparse(), torch.ones(2).double()):
        with pytest.raises(StreamTypeError, match="neural_states/v at timestep 3"):
            exporter.log(3, {"v": value}, reward=torch.tensor(1.0))
    with pytest.raises(StreamTypeError, match="rewards at timestep 3"):
        exporter.log(3, {"v": torch.ones(2)}, reward=torch.ones(2))
    assert stored(exporter)["rewards"]["rewards"].tolist() == [1.0, 2.0, 1.0]
