"""Contract of exporters: neural states and behaviour, and what may enter."""

import h5py
import numpy as np
import pytest

from recorder.errors import (
    InputError,
    InvalidNameError,
    StreamShapeError,
    StreamTypeError,
    UnknownFieldError,
)
from recorder.format.document import loads
from tests.contracts import reading
from tests.contracts.reading import same

DTYPES = ["?", "i1", "u1", "<i2", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16"]


class StreamContract:
    """Neural states and behaviour, and what a refused call leaves: nothing."""

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_dtypes_and_shapes_survive(self, record, dtype):
        rng = np.random.default_rng(1)
        rows = rng.integers(0, 2, (5, 2, 3)).astype(dtype)

        def body(exporter):
            for step, row in enumerate(rows):
                exporter.log(step, {"m": row, "s": row[0, 0]}, behavior={"v": row[0]})

        episode = record(body, neural_sampling_rate=1)
        assert same(reading.stream(episode, "neural_states", "m")[1], rows)
        assert same(reading.stream(episode, "neural_states", "s")[1], rows[:, 0, 0])
        assert same(reading.stream(episode, "behavior", "v")[1], rows[:, 0])

    def test_special_floats_survive(self, record):
        values = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, 5e-324])

        def body(exporter):
            for step, value in enumerate(values):
                exporter.log(step, behavior={"x": value}, reward=value)

        episode = record(body)
        assert same(reading.stream(episode, "behavior", "x")[1], values)
        assert same(reading.rewards(episode)[1], values)

    def test_other_byte_orders_and_lists(self, record):
        def body(exporter):
            for step in range(3):
                exporter.log(step, behavior={"big": np.array([step], ">i4"), "list": [1.0, step / 2]})

        episode = record(body)
        assert same(reading.stream(episode, "behavior", "big")[1], np.array([[0], [1], [2]], np.int32))
        assert reading.stream(episode, "behavior", "list")[1].tolist() == [[1, 0], [1, 0.5], [1, 1]]

    def test_values_are_copied_at_the_call(self, record):
        def body(exporter):
            v, spikes, x = np.zeros(4), np.zeros(4, bool), np.zeros(2, np.float32)
            for step in range(6):
                v += 1
                x -= 1
                spikes[:] = np.arange(4) == step % 4
                exporter.log(step, {"v": v}, spikes, {"x": x})

        episode = record(body, neural_sampling_rate=1)
        assert reading.stream(episode, "neural_states", "v")[1][:, 0].tolist() == [1, 2, 3, 4, 5, 6]
        assert reading.stream(episode, "behavior", "x")[1][:, 1].tolist() == [-1, -2, -3, -4, -5, -6]
        assert [neurons for _, neurons in reading.spikes(episode)] == [[0], [1], [2], [3], [0], [1]]

    @pytest.mark.parametrize(
        ("steps", "kept"),
        [
            ([0, 7, 9, 15, 19, 26], [0, 15, 26]),
            (range(5, 30), [5, 15, 25]),
            ([-20, -3, 0, 3, 10], [0, 10]),
            ([50, 0, 59, 60], [50, 60]),
        ],
    )
    def test_sampling(self, record, steps, kept):
        def body(exporter):
            for step in steps:
                exporter.log(step, {"v": float(step)}, behavior={"x": float(step)})

        episode = record(body, neural_sampling_rate=10, validate_data=False)
        assert reading.stream(episode, "neural_states", "v")[0].tolist() == kept
        assert reading.stream(episode, "neural_states", "v")[1].tolist() == kept
        assert reading.stream(episode, "behavior", "x")[1].tolist() == list(steps)

    @pytest.mark.parametrize("rate", [0, 1])
    def test_sampling_every_step_keeps_all(self, record, rate):
        steps = [3, 3, -1, 7]

        def body(exporter):
            for step in steps:
                exporter.log(step, {"v": float(step)})

        episode = record(body, neural_sampling_rate=rate, validate_data=False)
        assert reading.stream(episode, "neural_states", "v")[0].tolist() == steps

    def test_rates_by_variable(self, record):
        def body(exporter):
            for step in range(8):
                exporter.log(step, {"u": step, "v": step, "w": step})

        episode = record(body, neural_sampling_rate={"u": 2, "v": 3})
        for key, rate in (("u", 2), ("v", 3), ("w", 1)):
            steps, values = reading.stream(episode, "neural_states", key)
            assert steps.tolist() == values.tolist() == [*range(0, 8, rate)]
        assert episode["neural_states/timesteps"][:].tolist() == [*range(8)]
        assert loads(bytes(episode.attrs["neural_sampling_rate"])) == {"u": 2, "v": 3}

    def test_sampling_starts_anew_in_each_episode(self, make_exporter):
        with make_exporter(neural_sampling_rate=10) as exporter:
            for _ in range(2):
                exporter.start_episode()
                for step in range(5, 20):
                    exporter.log(step, {"v": step})
                exporter.end_episode()
        with h5py.File(exporter.h5_path, "r") as file:
            for episode in file["episodes"].values():
                assert reading.stream(episode, "neural_states", "v")[0].tolist() == [5, 15]

    def test_late_and_missing_keys_keep_their_timesteps(self, record):
        calls = [{"a": 0, "b": 0}, {"a": 1, "b": 1}, {"a": 2}, {}, {"b": 4, "c": 4}, {"a": 5, "b": 5, "c": 5}]

        def body(exporter):
            for step, values in enumerate(calls):
                exporter.log(step, behavior=values)

        episode = record(body)
        for key in "abc":
            steps, values = reading.stream(episode, "behavior", key)
            assert steps.tolist() == values.tolist() == [i for i, c in enumerate(calls) if key in c]
        assert episode["behavior/timesteps"][:].tolist() == [0, 1, 2, 4, 5]

    def test_repeated_and_falling_timesteps_are_kept_as_they_came(self, record):
        steps = [5, 5, 3, 2**62, -(2**63), 2**63 - 1]

        def body(exporter):
            for step in steps:
                exporter.log(np.int64(step), spikes=np.array([True]), behavior={"x": 1}, reward=1.0)

        episode = record(body, validate_data=False)
        assert reading.stream(episode, "behavior", "x")[0].tolist() == steps
        assert reading.rewards(episode)[0].tolist() == steps
        assert [step for step, _ in reading.spikes(episode)] == steps

    @pytest.mark.parametrize(
        ("call", "error"),
        [
            ({"behavior": {"x": 0.75}}, StreamTypeError),
            ({"behavior": {"x": [1, 2]}}, StreamShapeError),
            ({"behavior": {"x": "text"}}, StreamTypeError),
            ({"behavior": {"x": None}}, StreamTypeError),
            ({"behavior": [1]}, InputError),
            ({"neural_state": 5}, InputError),
            ({"behavior": {"timesteps": 1}}, InvalidNameError),
            ({"behavior": {"x_timesteps": 1}}, InvalidNameError),
            ({"behavior": {"a/b": 1}}, InvalidNameError),
            ({"behavior": {3: 1}}, InvalidNameError),
            ({"neural_state": {"new": object()}}, StreamTypeError),
            ({"reward": "high"}, StreamTypeError),
            ({"reward": [1.0]}, StreamTypeError),
            ({"reward": 2**53 + 1}, InputError),
            ({"spikes": np.ones((2, 2), bool)}, StreamShapeError),
            ({"spikes": np.ones(4, bool)}, StreamShapeError),
            ({"spikes": np.ones(3)}, StreamTypeError),
            ({"rewards": 1.0}, UnknownFieldError),
            ({"synapse_id": 1}, InputError),
            ({"synapse_id": 1, "old_weight": 0.0}, InputError),
            ({"data": {"a": 1}}, InputError),
            ({"event_type": "e", "data": {"a": object()}}, InputError),
            ({"event_type": "e", "data": 3}, InputError),
            ({"synapse_id": 1.5, "old_weight": 0.0, "new_weight": 1.0}, InputError),
            ({"synapse_id": (1, 2, 3), "old_weight": 0.0, "new_weight": 1.0}, InputError),
            ({"synapse_id": 1, "old_weight": 0.0, "new_weight": 1.0, "rule": "hebb"}, StreamTypeError),
            ({"timestep": None}, InputError),
            ({"timestep": 1.0}, StreamTypeError),
            ({"timestep": 2**63}, InputError),
        ],
    )
    def test_a_refused_call_stores_nothing(self, record, call, error):
        good = {
            "timestep": 1,
            "spikes": np.array([True, False, True]),
            "behavior": {"x": 1, "z": 2},
            "reward": 1.0,
        }
        good |= {"neural_state": {"v": 1.0}, "event_type": "ok", "data": {}}

        def body(exporter):
            exporter.log(**good)
            with pytest.raises(error):
                exporter.log(
                    **{key: v for key, v in good.items() if "data" not in call or key != "event_type"} | call
                )
            exporter.log(**good | {"timestep": 2, "neural_state": {"v": 2.0}})

        episode = record(body, neural_sampling_rate=1, spike_format="dense")
        assert episode.attrs["total_timesteps"] == 2
        assert sorted(episode["behavior"]) == ["timesteps", "x", "z"]
        assert episode["behavior/timesteps"][:].tolist() == [1, 2]
        assert reading.stream(episode, "neural_states", "v")[1].tolist() == [1.0, 2.0]
        assert reading.spikes(episode) == [(1, [0, 2]), (2, [0, 2])]
        assert reading.rewards(episode)[0].tolist() == [1, 2]
        assert [step for step, *_ in reading.events(episode)] == [1, 2]
        assert not reading.weight_changes(episode)

    def test_a_refused_first_call_fixes_no_types(self, record):
        def body(exporter):
            with pytest.raises(InputError):
                exporter.log(0, {"v": 1}, np.ones(3), {"x": 1}, "bad")
            exporter.log(0, {"v": 1.5}, np.ones(2, bool), {"x": 0.5}, 1.0)

        episode = record(body)
        assert reading.stream(episode, "behavior", "x")[1].tolist() == [0.5]
        assert reading.spikes(episode) == [(0, [0, 1])]
