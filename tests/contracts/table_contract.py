"""Contract of exporters: weight changes, events, batches, and any sequence of calls."""

import json
import warnings

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.errors import (
    InputError,
)
from recorder.format.document import loads
from tests.contracts import reading
from tests.contracts.reading import same


class TableContract:
    """Weight changes, events, batches, and all of it together."""

    def test_weight_changes(self, record):
        def body(exporter):
            exporter.log(3, synapse_id=np.int32(7), old_weight=0.5, new_weight=1, rate=0.1, tag=2)
            exporter.log(1, tag=3, rate=0.2, synapse_id=8, old_weight=np.float32(0.25), new_weight=-0.0)
            for wrong in ({}, {"rate": 0.1}, {"rate": 0.1, "tag": 1, "more": 1}, {"rate": 1, "tag": 1}):
                with pytest.raises(InputError):
                    exporter.log(2, synapse_id=9, old_weight=0.0, new_weight=0.0, **wrong)
            with pytest.raises(InputError):
                exporter.log(2, synapse_id=(1, 2), old_weight=0.0, new_weight=0.0, rate=0.1, tag=1)

        columns = reading.weight_changes(record(body))
        assert columns["timesteps"].tolist() == [3, 1]
        assert columns["synapse_ids"].tolist() == [7, 8]
        assert same(columns["old_weights"], np.array([0.5, 0.25]))
        assert same(columns["new_weights"], np.array([1.0, -0.0]))
        assert same(columns["rate"], np.array([0.1, 0.2]))
        assert same(columns["tag"], np.array([2, 3]))

    def test_synapse_pairs(self, record):
        def body(exporter):
            exporter.log(0, synapse_id=(3, 4), old_weight=0.0, new_weight=1.0)
            with pytest.raises(InputError):
                exporter.log(0, synapse_id=3, old_weight=0.0, new_weight=1.0)

        columns = reading.weight_changes(record(body))
        assert columns["source_ids"].tolist() == [3]
        assert columns["target_ids"].tolist() == [4]
        assert "synapse_ids" not in columns

    def test_events(self, record):
        data = {"place": {"x": [1, 2.5, None]}, "who": "ä\n", "ok": True}

        def body(exporter):
            exporter.log(5, event_type="a/b", data=data)
            exporter.log(2, event_type="empty", data={})

        assert reading.events(record(body)) == [(5, "a/b", data), (2, "empty", {})]

    def test_one_call_may_carry_everything(self, record):
        def body(exporter):
            exporter.log(
                9,
                {"v": 1.0},
                np.array([True]),
                {"x": 2},
                3.0,
                synapse_id=1,
                old_weight=0.0,
                new_weight=1.0,
                event_type="e",
                data={"k": 1},
            )

        episode = record(body)
        assert reading.stream(episode, "neural_states", "v")[0].tolist() == [9]
        assert reading.stream(episode, "behavior", "x")[1].tolist() == [2]
        assert reading.spikes(episode) == [(9, [0])]
        assert reading.rewards(episode)[1].tolist() == [3.0]
        assert reading.weight_changes(episode)["timesteps"].tolist() == [9]
        assert reading.events(episode) == [(9, "e", {"k": 1})]
        assert episode.attrs["total_timesteps"] == 1

    def test_batch_is_its_rows(self, make_exporter):
        rng = np.random.default_rng(3)
        steps = np.cumsum(rng.integers(1, 4, 200))
        v, x = rng.normal(size=(200, 3)), rng.integers(0, 9, 200)
        spikes, reward = rng.random((200, 4)) < 0.2, rng.normal(size=200)
        with make_exporter(neural_sampling_rate=10) as exporter:
            exporter.start_episode()
            exporter.log(0, {"v": v[0]}, spikes[0], {"x": x[0]}, 0.0)
            exporter.log_batch(steps, {"v": v}, spikes, {"x": x}, reward)
            exporter.end_episode()
            exporter.start_episode()
            exporter.log(0, {"v": v[0]}, spikes[0], {"x": x[0]}, 0.0)
            for i, step in enumerate(steps):
                exporter.log(step, {"v": v[i]}, spikes[i], {"x": x[i]}, reward[i])
        with h5py.File(exporter.h5_path, "r") as file:
            one, two = file["episodes"].values()
            for group, key in (("neural_states", "v"), ("behavior", "x")):
                for a, b in zip(
                    reading.stream(one, group, key), reading.stream(two, group, key), strict=True
                ):
                    assert same(a, b)
            assert reading.spikes(one) == reading.spikes(two)
            for a, b in zip(reading.rewards(one), reading.rewards(two), strict=True):
                assert same(a, b)
            for name in ("total_timesteps", "total_spikes", "total_reward"):
                assert one.attrs[name] == two.attrs[name]

    @pytest.mark.parametrize(
        "columns",
        [
            {"behavior": {"x": np.zeros(3)}},
            {"spikes": np.zeros((4, 2))},
            {"reward": np.array(["a"] * 4)},
            {"neural_state": {"v": 1.0}},
            {"spikes": np.zeros(4, bool)},
        ],
    )
    def test_a_refused_batch_stores_nothing(self, record, columns):
        def body(exporter):
            exporter.log(0, spikes=np.ones(2, bool))
            with pytest.raises(InputError):
                exporter.log_batch(np.arange(4), **columns)

        episode = record(body)
        assert episode.attrs["total_timesteps"] == 1
        assert not len(episode["behavior"])
        assert not len(episode["rewards"])

    def test_batch_of_integers_is_dense(self, record):
        def body(exporter):
            exporter.log_batch(np.arange(2), spikes=np.array([[0, 1], [1, 0]]))

        assert reading.spikes(record(body)) == [(0, [1]), (1, [0])]

    def test_validation_warns_once_per_stream(self, make_exporter):
        with make_exporter(neural_sampling_rate=1) as exporter:
            exporter.start_episode()
            with pytest.warns(UserWarning, match="Validation: timestep should be non-negative"):
                exporter.log(-2, {"v": 1.0})
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                exporter.log(-1, {"v": 1.0})
                exporter.log(1, {"w": np.zeros((1, 1, 1)), "v": 1.0})
            with pytest.warns(UserWarning, match="Validation: timestep should be non-negative"):
                exporter.log(-1, behavior={"x": 1.0})

    @settings(
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ]
    )
    @given(
        calls=st.lists(
            st.tuples(
                st.integers(-3, 60),
                st.dictionaries(st.sampled_from("uvw"), st.integers(-5, 5), max_size=3),
                st.dictionaries(st.sampled_from("xyz"), st.floats(width=64), max_size=3),
                st.none() | st.lists(st.booleans(), min_size=3, max_size=3),
                st.none() | st.floats(width=64),
            ),
            max_size=30,
        ),
        rates=st.dictionaries(st.sampled_from("uv"), st.integers(0, 20)),
    )
    def test_any_calls(self, make_exporter, calls, rates):
        streams, spikes, rewards, due = {}, [], [], {}
        with make_exporter(neural_sampling_rate=rates, validate_data=False) as exporter:
            exporter.start_episode()
            for step, neural, behavior, raster, reward in calls:
                exporter.log(step, neural, raster, behavior, reward)
                for key, value in neural.items():
                    rate = max(1, rates.get(key, 1))
                    if rate == 1 or step >= due.get(key, 0):
                        due[key] = step + rate
                        streams.setdefault(("neural_states", key), []).append((step, value))
                for key, value in behavior.items():
                    streams.setdefault(("behavior", key), []).append((step, value))
                if raster is not None:
                    spikes.append((step, np.flatnonzero(raster).tolist()))
                if reward is not None:
                    rewards.append((step, reward))
        with h5py.File(exporter.h5_path, "r") as file:
            episode = file["episodes/episode_0000"]
            for (group, key), rows in streams.items():
                steps, values = reading.stream(episode, group, key)
                assert steps.tolist() == [step for step, _ in rows]
                assert same(values, np.array([value for _, value in rows]))
            stored = {
                (g, k) for g in ("neural_states", "behavior") for k in episode[g] if "timesteps" not in k
            }
            assert stored == set(streams)
            assert reading.spikes(episode) == spikes
            assert reading.rewards(episode)[0].tolist() == [step for step, _ in rewards]
            assert same(reading.rewards(episode)[1], np.array([value for _, value in rewards], float))
            assert episode.attrs["total_timesteps"] == len(calls)

    def test_events_are_json(self, record):
        def body(exporter):
            exporter.log(0, event_type="e", data={"t": (1,), "a": np.arange(2)})

        group = record(body)["events"]
        document = json.loads(group["data"][:].tobytes())
        assert document["data"]["t"] == {"$tuple": [1]}
        assert loads(group["data"][:].tobytes())["data"]["a"].tolist() == [0, 1]
