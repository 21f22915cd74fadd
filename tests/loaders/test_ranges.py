"""Ranges of timesteps are half-open: bounds are any real numbers, compared exactly, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from loaders import EpisodeData, ExperimentLoader, LiveExperiment, TimestepError, episode_sources
from recorder import DataExporter, InputError
from recorder.errors import OptionError

Range = Callable[[EpisodeData, Any, Any], Any]
READERS: dict[str, Range] = {
    "behavior": lambda data, a, b: data.get_behavior(timesteps=(a, b))["timesteps"],
    "neural states": lambda data, a, b: data.get_neural_states(timesteps=(a, b))["own_timesteps"],
    "rewards": lambda data, a, b: data.get_rewards(a, b)["timesteps"],
    "spikes": lambda data, a, b: data.get_spikes(a, b)["timesteps"],
    "raster": lambda data, a, b: range(
        20 - len(data.get_spike_raster(a)), len(data.get_spike_raster(None, b))
    ),
    "matrix": lambda data, a, b: range(
        20 - data.get_spike_matrix(a).shape[0], data.get_spike_matrix(None, b).shape[0]
    ),
    "spike timesteps": lambda data, a, b: data.spike_timesteps(a, b),
    "stream": lambda data, a, b: data.stream("behavior/x").read(a, b),
    "weight changes": lambda data, a, b: data.get_weight_changes(a, b)["timesteps"],
    "events": lambda data, a, b: [step for step, _, _ in data.iter_events(a, b)],
    "counts": lambda data, a, b: (
        np.arange(data.row_counts(a, b)["events"]) + data.row_counts(None, a)["events"]
    ),
}
KINDS: tuple[Callable[[float], Any], ...] = (
    float,
    np.float32,
    np.longdouble,
    Fraction,
    Decimal,
    lambda value: np.array(value, np.float16),
)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExperimentLoader]:
    with DataExporter("r", tmp_path_factory.mktemp("ranges"), neural_sampling_rate=1) as exporter:
        exporter.save_network_structure(
            {"neuron_ids": [0]}, {"source_ids": [0], "target_ids": [0]}, initial_weights=np.zeros(1)
        )
        exporter.start_episode()
        for t in range(20):
            state = {"v": 0.0} | ({"own": 1.0} if t else {})
            exporter.log(t, state, np.ones(1, np.bool_), {"x": float(t)}, 1.0)
            exporter.log(t, event_type="e", data={})
            exporter.log(t, synapse_id=0, old_weight=float(t), new_weight=t + 1.0)
    with ExperimentLoader(exporter.output_dir) as loader:
        yield loader


@pytest.mark.parametrize("reader", READERS)
def test_bounds_are_compared_exactly(experiment: ExperimentLoader, reader: str) -> None:
    data, read = experiment.get_episode(0), READERS[reader]
    for kind in KINDS:
        assert_array_equal(read(data, kind(2.5), kind(5.25)), [3, 4, 5])
    for whole in (int, np.int16, np.uint64, float, np.array):
        assert_array_equal(read(data, whole(3), whole(6)), [3, 4, 5])
    assert_array_equal(read(data, 0.3 / 0.1, 0.6 / 0.1), [3, 4, 5])
    assert_array_equal(read(data, 17, np.inf), [17, 18, 19])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "bound", ["5", float("nan"), True, np.True_, 1j, [3], np.array([3, 4]), Decimal("NaN")]
)
def test_a_bound_that_is_no_number_is_refused(experiment: ExperimentLoader, reader: str, bound: Any) -> None:
    for bounds in ((bound, 7), (5, bound)):
        with pytest.raises(TimestepError, match="expected a real number") as raised:
            READERS[reader](experiment.get_episode(0), *bounds)
    assert isinstance(raised.value, InputError)
    assert isinstance(raised.value, TypeError)


def test_other_arguments_that_name_timesteps(experiment: ExperimentLoader) -> None:
    data = experiment.get_episode(0)
    for timestep in (4, 4.5, np.float32(4.5)):
        assert data.get_weight_matrix(timestep)[0] == 5
    assert data.get_weight_matrix(-0.5)[0] == 0
    assert data.get_weight_matrix(float("inf"))[0] == 20
    assert [step for step, _, _ in data.iter_events(3.5, last=np.int8(2))] == [18, 19]
    for wrong in (2.5, -1, "2", True):
        with pytest.raises(TimestepError, match="last: expected a whole number"):
            data.iter_events(last=wrong)
    for span in (5, "57", (1, 2, 3), {1: 2, 3: 4}):
        with pytest.raises(TimestepError, match=r"timesteps: expected a pair"):
            data.get_behavior(timesteps=span)
    with pytest.raises(TimestepError):
        data.get_weight_matrix("4")  # type: ignore[arg-type]


def test_the_last_timesteps_of_a_live_recording(experiment: ExperimentLoader) -> None:
    with LiveExperiment(experiment.h5_path) as live:
        for steps in (3, 2.5, 3.0, np.int8(3)):
            assert_array_equal(live.tail("behavior/x", steps).timesteps, [17, 18, 19])
            assert_array_equal(live.spikes(steps)["timesteps"], [17, 18, 19])
            assert_array_equal(live.rewards(steps).timesteps, [17, 18, 19])
        assert len(live.tail("behavior/x", np.inf).timesteps) == 20
        for wrong in ("3", float("nan"), None):
            for call in (lambda n: live.tail("behavior/x", n), live.spikes, live.rewards):
                with pytest.raises(TimestepError):
                    call(wrong)


def test_windows_of_a_whole_number_of_timesteps(experiment: ExperimentLoader) -> None:
    assert next(iter(episode_sources(experiment.h5_path, every=np.int8(2)).values())).every == 2
    for every in (2.5, "2", 0, True):
        with pytest.raises(OptionError, match="every must be a whole number of timesteps"):
            episode_sources(experiment.h5_path, every=every)
