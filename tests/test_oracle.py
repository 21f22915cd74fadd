"""The same calls into both exporters: the plain one says what the fast one must have stored."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import DataExporter, FlightrecError, SpikeIndices, StandardDataExporter
from tests.comparing import assert_same, contents

NEURONS = 6


def rows(dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    # Drawn as one number: what matters is that rows differ, and examples stay quick to make.
    return st.integers(0, 999).map(
        lambda n: ((np.arange(int(np.prod(shape))) * n) % 101).astype(dtype).reshape(shape)
    )


MOSTLY = st.integers(0, 9).map(bool)
ANY_REAL = st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("-inf"), 5e-324, 1e300])
NEURAL = {"v": rows("f8", (4,)), "w": rows("f4", (2, 3)), "flag": st.booleans(), "c": rows("c16", (2,))}
BEHAVIOR = {"x": ANY_REAL, "n": st.integers(-5, 5), "pos": rows("i2", (2,)), "np": ANY_REAL.map(np.float64)}
SPIKES = {
    "bool": rows("i1", (NEURONS,)).map(lambda a: a > 60),
    "graded": rows("f4", (NEURONS,)).map(lambda a: np.where(a > 60, a, -0.0 * (a > 50)).astype("f4")),
    "indices": st.integers(0, 2**NEURONS - 1).map(
        lambda bits: SpikeIndices([i for i in range(NEURONS) if bits >> i & 1], NEURONS)
    ),
}


@st.composite
def calls(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A run of log() calls with steady streams, late ones, gaps, weight changes, events and bad values."""
    form = draw(st.sampled_from([*SPIKES, None]))
    neural = draw(st.sets(st.sampled_from(list(NEURAL))))
    behavior = draw(st.sets(st.sampled_from(list(BEHAVIOR))))
    steady = draw(st.booleans())
    pairs = draw(st.booleans())
    out, step = [], draw(st.integers(-3, 3))
    for _ in range(draw(st.integers(0, 15))):
        step += draw(st.sampled_from([1, 1, 1, 1, 1, 2, 0, -3, 40]))
        call: dict[str, Any] = {"timestep": step}
        for name, keys, table in (("neural_state", neural, NEURAL), ("behavior", behavior, BEHAVIOR)):
            if keys and (steady or draw(MOSTLY)):
                call[name] = {k: draw(table[k]) for k in sorted(keys) if steady or draw(MOSTLY)}
        if form and (steady or draw(MOSTLY)):
            call["spikes"] = draw(SPIKES[form])
        if steady or draw(st.booleans()):
            call["reward"] = draw(st.sampled_from([0.0, -0.0, 1, 2.5, float("nan"), np.float32(0.1)]))
        if draw(st.integers(0, 4)) == 0:
            target = draw(st.integers(0, 9))
            call |= {
                "synapse_id": (target, 1) if pairs else target,
                "old_weight": draw(ANY_REAL),
                "new_weight": 1,
            }
        if draw(st.integers(0, 6)) == 0:
            call |= {
                "event_type": draw(st.sampled_from(["a", "b/c"])),
                "data": {"k": draw(ANY_REAL), "s": "ü"},
            }
        if draw(st.integers(0, 12)) == 0:
            call |= draw(st.sampled_from(BAD))
        out.append(call)
    return out


BAD: list[dict[str, Any]] = [
    {"behavior": {"x": 1}},
    {"behavior": {"x": "text"}},
    {"behavior": {"timesteps": 1.0}},
    {"neural_state": {"v": np.zeros(5)}},
    {"neural_state": {"v": [1.0, 2.0, 3.0, 4.0]}},
    {"neural_state": [1, 2]},
    {"spikes": [1, 3]},
    {"spikes": np.zeros((2, 3))},
    {"spikes": []},
    {"reward": "much"},
    {"timestep": None},
    {"timestep": 2**63},
    {"timestep": np.int32(7)},
    {"timestep": 1.0},
    {"unknown": 3},
    {"synapse_id": 3},
    {"synapse_id": "s", "old_weight": 0.0, "new_weight": 0.0},
    {"event_type": "a", "data": {"o": object()}},
    {"behavior": {"pos": np.array([1, 2], ">i2")}},
    {"behavior": {"n": np.int64(4)}},
]

EPISODES = st.lists(
    st.tuples(calls(), st.booleans(), st.none() | st.just({"laps": 3, "t": (1, 2)})), max_size=3
)


def record(exporter: Any, episodes: Any) -> list[str]:
    """Play the calls; returns the names of the errors they raised."""
    errors = []
    with exporter:
        for index, (steps, success, summary) in enumerate(episodes):
            exporter.start_episode()
            for call in steps:
                try:
                    exporter.log(**call)
                except FlightrecError as error:
                    errors.append(f"{type(error).__name__}: {error}")
            if index % 2:
                exporter.log_static_episode_data("world", {"grid": np.eye(2)})
            exporter.end_episode(success=success, summary=summary)
    return errors


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.usefixtures("each_hot_path")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    EPISODES, st.sampled_from([1, 10, {"v": 3, "w": 7}]), st.booleans(), st.sampled_from([200, 3000, 1 << 16])
)
def test_both_exporters_store_and_refuse_the_same(
    tmp_path_factory: pytest.TempPathFactory, episodes: Any, rate: Any, threaded: bool, block: int
) -> None:
    folder = tmp_path_factory.mktemp("oracle")
    plain = StandardDataExporter("plain", folder, neural_sampling_rate=rate)
    refused = record(plain, episodes)
    with (
        mock.patch("recorder.sizes.FIRST_BLOCK", block),
        mock.patch("recorder.sizes.LARGEST_BLOCK", 2 * block),
    ):
        fast = DataExporter(
            "fast", folder, neural_sampling_rate=rate, async_write=threaded, chunk_size=5, ring_bytes=1 << 20
        )
        assert record(fast, episodes) == refused
    assert_same(contents(fast.h5_path), contents(plain.h5_path))


@st.composite
def batches(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Batches of rows with the same streams, possibly after single calls, with and without gaps."""
    out, step = [], 0
    for _ in range(draw(st.integers(1, 5))):
        length = draw(st.integers(0, 30))
        rng = np.random.default_rng(draw(st.integers(0, 100)))
        stride = draw(st.sampled_from([1, 1, 3]))
        batch: dict[str, Any] = {"timesteps": step + stride * np.arange(length)}
        step += stride * length
        if draw(MOSTLY):
            batch["neural_state"] = {
                "v": rng.random((length, 4)),
                "w": rng.random((length, 2, 3), np.float32),
            }
        if draw(MOSTLY):
            batch["spikes"] = rng.random((length, NEURONS)) < 0.3
        if draw(MOSTLY):
            batch["behavior"] = {"x": rng.random(length), "pos": rng.integers(0, 9, (length, 2))}
        if draw(st.booleans()):
            batch["reward"] = rng.integers(0, 2, length)
        out.append(batch)
    return out


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(batches(), st.sampled_from([1, 4, {"v": 3, "w": 7}]), st.sampled_from([300, 1 << 16]))
def test_batches_store_what_single_calls_store(
    tmp_path_factory: pytest.TempPathFactory, work: list[dict[str, Any]], rate: Any, block: int
) -> None:
    folder = tmp_path_factory.mktemp("batch")
    paths = []
    with (
        mock.patch("recorder.sizes.FIRST_BLOCK", block),
        mock.patch("recorder.sizes.LARGEST_BLOCK", 2 * block),
    ):
        for exporter in (
            DataExporter("fast", folder, rate, chunk_size=7, ring_bytes=1 << 20),
            StandardDataExporter("plain", folder, rate),
        ):
            with exporter:
                exporter.start_episode()
                exporter.log(timestep=-1, behavior={"x": 0.5, "pos": np.array([1, 2])})
                for batch in work:
                    exporter.log_batch(**batch)
                exporter.end_episode()
                paths.append(exporter.h5_path)
    assert_same(contents(paths[0]), contents(paths[1]))
