"""``precision=``: rounded by request, by both exporters alike, and said in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import DataExporter, OptionError, StandardDataExporter, StreamTypeError
from tests.format.test_rounding import ornstein_uhlenbeck

EXPORTERS = [DataExporter, StandardDataExporter]


@pytest.mark.parametrize("make", EXPORTERS)
def test_only_what_was_named_is_rounded(make: Any, tmp_path: Path) -> None:
    v = ornstein_uhlenbeck(300, 5)
    bounds = {"v": 1e-3, "behavior/x": 0.5}
    with make("run", tmp_path, neural_sampling_rate=1, precision=bounds) as exporter:
        exporter.start_episode()
        for t, row in enumerate(v):
            exporter.log(t, neural_state={"v": row, "u": row}, behavior={"x": row[0], "y": row[1]})
    with ExperimentLoader(exporter.h5_path) as loader:
        neural, behavior = loader.get_episode(0).get_neural_states(), loader.get_episode(0).get_behavior()
    assert 0 < np.abs(neural["v"] - v).max() <= 1e-3
    assert 0.1 < np.abs(behavior["x"] - v[:, 0]).max() <= 0.5
    assert np.array_equal(neural["u"], v)
    assert np.array_equal(behavior["y"], v[:, 1])
    with h5py.File(exporter.h5_path) as file:
        episode = file["episodes/episode_0000"]
        assert episode["neural_states/v"].attrs["precision"] == 1e-3
        assert episode["behavior/x"].attrs["precision"] == 0.5
        assert "precision" not in episode["neural_states/u"].attrs


def test_both_exporters_round_alike(tmp_path: Path) -> None:
    found = []
    for make in EXPORTERS:
        with make("run", tmp_path / make.__name__, neural_sampling_rate=1, precision={"v": 0.01}) as exporter:
            exporter.start_episode()
            for t, row in enumerate(ornstein_uhlenbeck(100, 3)):
                exporter.log(t, neural_state={"v": row})
        with ExperimentLoader(exporter.h5_path) as loader:
            found.append(loader.get_episode(0).get_neural_states()["v"])
    assert np.array_equal(*found)


def test_noise_is_several_times_smaller(tmp_path: Path) -> None:
    v, sizes = ornstein_uhlenbeck(5000, 40), []
    for bounds in (None, {"v": 1e-3}):
        with DataExporter(
            "run", tmp_path / str(bounds), neural_sampling_rate=1, precision=bounds
        ) as exporter:
            exporter.start_episode()
            exporter.log_batch(np.arange(len(v)), neural_state={"v": v})
        sizes.append(exporter.h5_path.stat().st_size)
    assert sizes[0] > 3 * sizes[1]


@pytest.mark.parametrize("make", EXPORTERS)
def test_integers_are_not_rounded_without_a_word(make: Any, tmp_path: Path) -> None:
    with make("run", tmp_path, precision={"v": 0.5, "behavior/n": 1}) as exporter:
        exporter.start_episode()
        with pytest.raises(StreamTypeError, match="precision"):
            exporter.log(0, neural_state={"v": np.arange(3)})
        with pytest.raises(StreamTypeError, match="precision"):
            exporter.log(0, behavior={"n": 3})


@pytest.mark.parametrize("precision", [1e-3, ["v"], "v", {1: 1e-3}])
def test_bounds_are_given_by_stream(precision: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"bounds by stream|name streams"):
        DataExporter("run", tmp_path, precision=precision)


@pytest.mark.parametrize("bound", [0, -1.0, float("nan"), float("inf"), "small", True])
@pytest.mark.parametrize("make", EXPORTERS)
def test_a_bound_is_a_positive_number(make: Any, bound: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"precision\['v'\]"):
        make("run", tmp_path, precision={"v": bound})
