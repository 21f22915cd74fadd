"""The compiled log function by itself: which is chosen, how it is called, what it holds and lets go of."""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loaders import ExperimentLoader
from recorder import (
    ClosedError,
    ConcurrentLogError,
    DataExporter,
    InputError,
    NoEpisodeError,
    SpikeIndices,
    hotpath,
)
from recorder.errors import StreamShapeError, StreamTypeError
from recorder.format import native

STEADY: dict[str, Any] = {
    "neural_state": {"v": np.arange(4.0)},
    "spikes": np.array([True, False, True]),
    "behavior": {"x": 1.0, "n": np.int32(2)},
    "reward": 0.5,
}


def chosen(path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import recorder; print(recorder.HOT_PATH)"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, native.VARIABLE: path},
    )


def test_the_environment_chooses() -> None:
    assert chosen("python").stdout == "python\n"
    assert "FLIGHTREC_HOT_PATH" in chosen("fast").stderr


def test_the_compiled_one_is_chosen_where_it_is_there(use_hot_path: Callable[[str], None]) -> None:
    use_hot_path("compiled")
    assert chosen("compiled").stdout == chosen("auto").stdout == "compiled\n"


def test_a_build_of_other_sources_is_not_used(
    use_hot_path: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hot_path("compiled")
    monkeypatch.setattr(hotpath, "INTERFACE", 0)
    assert hotpath.choose("auto")[0] == "python"
    with pytest.raises(ImportError, match="other sources"):
        hotpath.choose("compiled")


@pytest.fixture
def exporter(tmp_path: Path, each_hot_path: str) -> Any:  # noqa: ARG001 - before the exporter is made
    made = DataExporter("run", tmp_path, {"v": 3}, ring_bytes=1 << 20, validate_data=False)
    made.start_episode()
    made.log(0, **STEADY)
    yield made
    made.close()


def test_it_has_the_signature_of_log(exporter: DataExporter) -> None:
    assert list(inspect.signature(exporter.log).parameters) == [
        *("timestep", "neural_state", "spikes", "behavior", "reward", "more")
    ]


class Name(str):
    """Equal to a keyword, and another object and type."""


def test_every_way_to_give_arguments(exporter: DataExporter) -> None:
    exporter.log(1, *STEADY.values())
    exporter.log(timestep=2, **{"".join(list(name)): value for name, value in STEADY.items()})
    exporter.log(3, STEADY["neural_state"], **{Name(k): v for k, v in list(STEADY.items())[1:]})
    with pytest.raises(TypeError, match="multiple values"):
        exporter.log(4, timestep=4, **STEADY)  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        exporter.log(4, *STEADY.values(), 7)  # type: ignore[misc]
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        episode = loader.get_episode(0)
        assert episode.get_behavior()["timesteps"].tolist() == [0, 1, 2, 3]
        assert episode.stream("neural_states/v").timesteps.tolist() == [0, 3]
        assert episode.get_spikes()["neuron_ids"].tolist() == [0, 2] * 4


class Colliding:
    """A key that is looked at whenever ``x`` is, and then runs code of its own."""

    def __init__(self) -> None:
        self.act: Callable[[], None] = int

    def __hash__(self) -> int:
        return hash("x")

    def __eq__(self, other: object) -> bool:
        self.act()
        return False


def test_keys_that_run_code(exporter: DataExporter) -> None:
    function = exporter.log
    seen: list[str] = []

    def empty() -> None:
        behavior.clear()

    def nest() -> None:
        with pytest.raises(ConcurrentLogError):
            function(5, **STEADY)
        seen.append("nested")

    def interrupt() -> None:
        raise KeyboardInterrupt

    for act, error in ((empty, None), (nest, ValueError), (interrupt, KeyboardInterrupt)):
        key = Colliding()
        behavior: dict[Any, Any] = {key: 1.0, "x": 1.0}
        key.act = act
        with pytest.raises(error) if error else contextlib.nullcontext():
            exporter.log(1, **{**STEADY, "behavior": behavior})
    exporter.log(1, **STEADY)
    assert seen
    assert exporter.current_episode is not None
    assert exporter.current_episode.timestep_count == 3  # one without behaviour


def test_arrays_of_any_layout(exporter: DataExporter) -> None:
    wide = np.arange(40.0).reshape(4, 10)
    swapped = np.arange(4.0).astype(">f8")
    raw = np.zeros(33, np.uint8)
    odd = raw[1:].view(np.float64)
    odd[:] = 7
    for n, v in enumerate([wide[:, 3], wide[::-1, 0], swapped, odd]):
        exporter.log(3 + 3 * n, **{**STEADY, "neural_state": {"v": v}})
    exporter.close()
    with ExperimentLoader(exporter.h5_path) as loader:
        found = loader.get_episode(0).stream("neural_states/v").read()
    assert np.array_equal(found[1:], [wide[:, 3], wide[::-1, 0], np.arange(4.0), np.full(4, 7.0)])


@pytest.mark.parametrize("rate", [2**61, 2**62, 2**70])
def test_the_largest_rates(tmp_path: Path, each_hot_path: str, rate: int) -> None:  # noqa: ARG001
    with DataExporter("run", tmp_path, {"v": rate}, validate_data=False) as exporter:
        exporter.start_episode()
        for step in (-(2**63), -5, 2**61 - 6, 2**61 - 5, 2**62, 2**63 - 1):
            exporter.log(step, neural_state={"v": float(step)})
        for step in (-(2**63), 2**63 - 1):
            exporter.log(step, neural_state={"v": 0.0})
    with ExperimentLoader(exporter.h5_path) as loader:
        found = loader.get_episode(0).stream("neural_states/v").timesteps.tolist()
    assert (
        found
        == {
            2**61: [2**61 - 6, 2**62, 2**63 - 1],
            2**62: [2**61 - 6, 2**63 - 1],
            2**70: [2**61 - 6],
        }[rate]
    )


def test_index_lists_of_every_kind(tmp_path: Path, each_hot_path: str) -> None:  # noqa: ARG001
    with DataExporter("run", tmp_path, validate_data=False) as exporter:
        exporter.start_episode()
        exporter.log(0, spikes=SpikeIndices([1], 9))
        good = [
            [0, 8],
            [],
            [8, 0],
            (2, 3),
            np.array([1, 2]),
            np.arange(9)[::2],
            np.array([3, 2]),
            np.uint8([4]),
        ]
        for n, ids in enumerate(good):
            exporter.log(n + 1, spikes=SpikeIndices(ids, (9, None)[n % 2]))
        for ids in (np.array([1, 1]), np.array([-1, 2]), np.array([3, 9]), np.array([[1]]), np.array([1.0])):
            with pytest.raises(ValueError, match="spikes"):
                exporter.log(99, spikes=SpikeIndices(ids))
        with pytest.raises(ValueError, match="spikes"):
            exporter.log(99, spikes=SpikeIndices(np.array([1]), 8))
    with ExperimentLoader(exporter.h5_path) as loader:
        found = loader.get_episode(0).get_spikes()
    rows = [sorted(int(i) for i in ids) for ids in [[1], *good]]
    assert found["neuron_ids"].tolist() == [i for row in rows for i in row]
    assert found["timesteps"].tolist() == [step for step, row in enumerate(rows) for _ in row]


def test_nothing_is_kept_of_a_call(exporter: DataExporter) -> None:
    calls: list[dict[str, Any]] = [
        STEADY,
        {**STEADY, "neural_state": {"v": np.arange(8.0)[::2]}},
        {"behavior": {"x": 1.0}},
        {"event_type": "e", "data": {}},
        {"unknown": 1},
        {**STEADY, "behavior": {"x": "text", "n": 1}},
    ]
    objects = [STEADY["spikes"], STEADY["neural_state"]["v"], *calls]

    def play(times: int) -> None:
        for n in range(times):
            with contextlib.suppress(ValueError):
                exporter.log(3 * n, **calls[n % len(calls)])

    play(600)
    before = [sys.getrefcount(o) for o in objects]
    tracemalloc.start()
    play(600)
    first = tracemalloc.get_traced_memory()[0]
    play(1200)
    second = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert [sys.getrefcount(o) for o in objects] == before
    assert second - first < 60_000  # an object a call would be more


def test_an_episode_that_is_dropped_is_collected(exporter: DataExporter) -> None:
    steps = weakref.ref(exporter._steps)
    held = exporter._steps.function.log
    exporter.end_episode()
    exporter._ending = None
    gc.collect()
    assert steps() is not None
    del held
    gc.collect()
    assert steps() is None


def test_memory_that_is_too_small_is_refused(use_hot_path: Callable[[str], None]) -> None:
    use_hot_path("compiled")
    from recorder import _hotpath

    stream = (3, "x", True, 1, False, 8, False, np.dtype("f8"), ())
    log = _hotpath.Log(print, print, print, (KeyError,), SpikeIndices, None, 16, (stream,))
    counts, head = np.zeros(2, np.int64), np.zeros(160, np.uint8)
    numbers = (0, 10, 0, 0, 0, 0, 0, 0)
    log.attach((counts, head, None, None, None), numbers)
    log(7, behavior={"x": 2.5})
    assert counts.tolist() == [1, 0]
    assert head[:16].view(np.float64)[1] == 2.5
    assert log.position() == (1, 0, (0, 0, 0))
    frozen = head.copy()
    frozen.flags.writeable = False
    for memory in (
        (counts, head[:159], None, None, None),
        (counts, frozen, None, None, None),
        (counts[:0], head, None, None, None),
        (counts, bytes(160), None, None, None),
        (counts, head[::2], None, None, None),
        (counts, head),
    ):
        with pytest.raises(ValueError, match="memory"):
            log.attach(memory, numbers)
    for bad in ((-1, 10, 0, 0, 0, 0, 0, 0), (0, -1, 0, 0, 0, 0, 0, 0), (2**63, 1, 0, 0, 0, 0, 0, 0)):
        with pytest.raises((ValueError, OverflowError)):
            log.attach((counts, head, None, None, None), bad)
    for offset, size in ((9, 16), (16, 16), (-1, 8)):
        with pytest.raises(ValueError, match="plan"):
            _hotpath.Log(
                print,
                print,
                print,
                (),
                SpikeIndices,
                None,
                size,
                ((9, "x", True, 1, False, offset, *stream[6:]),),
            )
    log(8, behavior={"x": 3.5})
    assert counts.tolist() == [2, 0]


@pytest.mark.usefixtures("each_hot_path")
def test_a_log_that_is_kept_is_the_newest_one(tmp_path: Path) -> None:
    with DataExporter("run", tmp_path) as exporter:
        log = exporter.log
        assert list(inspect.signature(log).parameters)[:2] == ["timestep", "neural_state"]
        assert "Log one timestep's data" in (log.__doc__ or "")
        with pytest.raises(NoEpisodeError):
            log(0, behavior={"x": 0.0})
        for episode in range(2):
            exporter.start_episode()
            for t in range(3):
                log(t, behavior={"x": float(t + episode)})
            log(3, behavior={"x": 3.0, "y": 1})
            exporter.end_episode()
            with pytest.raises(NoEpisodeError):
                log(4, behavior={"x": 4.0})
    with pytest.raises(ClosedError):
        log(0)
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.get_episode(1).get_behavior()["x"].tolist() == [1.0, 2.0, 3.0, 3.0]


INDEX_TYPES = (*"bBhHiIlLqQ", ">i4", "<u2")


@pytest.mark.usefixtures("each_hot_path")
@pytest.mark.parametrize("kind", INDEX_TYPES)
def test_index_lists_of_every_width_are_what_they_are_in_64_bits(tmp_path: Path, kind: str) -> None:
    chance = np.random.default_rng(0)
    lists = [np.flatnonzero(chance.random(120) < 0.2).astype(kind) for _ in range(200)]
    lists[20:24] = [lists[0][:0], lists[0][:1], np.arange(120).astype(kind), np.repeat(lists[0], 2)[::2]]
    with DataExporter("run", tmp_path, spike_format="indices", n_neurons=120) as exporter:
        exporter.start_episode()
        for t, ids in enumerate(lists):
            exporter.log(t, spikes=ids if t % 3 else SpikeIndices(ids, 120))
        refused = [([120], "got 120"), ([5, 5], "5 more than once"), ([3, 2, 3], "3 more than once")]
        for ids, message in refused:
            with pytest.raises(InputError, match=message):
                exporter.log(200, spikes=np.array(ids).astype(kind))
        exporter.log(200, spikes=np.array([7, 3]).astype(kind))
    with ExperimentLoader(exporter.h5_path) as loader:
        spikes = loader.get_episode(0).get_spikes()
    assert spikes["neuron_ids"].tolist() == [*np.concatenate(lists).tolist(), 3, 7]
    assert np.bincount(spikes["timesteps"]).tolist() == [*map(len, lists), 2]


@pytest.mark.usefixtures("each_hot_path")
@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_index_lists_that_are_none_are_refused_at_every_width(tmp_path: Path, width: int) -> None:
    signed, unsigned = np.dtype(f"i{width // 8}"), np.dtype(f"u{width // 8}")
    most = np.iinfo(unsigned).max
    with DataExporter("run", tmp_path, spike_format="indices", n_neurons=100) as exporter:
        exporter.start_episode()
        exporter.log(0, spikes=np.array([1, 2], signed))
        for ids, error, message in (
            (np.array([-1, 4], signed), InputError, "got -1"),
            (np.array([np.iinfo(signed).min], signed), InputError, str(np.iinfo(signed).min)),
            (np.array([4, most], unsigned), InputError, f"got {most}"),
            (np.array([4, 5], f"f{max(2, width // 8)}"), StreamTypeError, "as integers"),
            (np.array([True, False]), StreamTypeError, "as integers"),
            (np.array([[1, 2]], signed), StreamShapeError, "one dimension"),
            (np.array(3, signed), StreamShapeError, "one dimension"),
        ):
            with pytest.raises(error, match=message):
                exporter.log(1, spikes=ids)
        many = np.arange(100, dtype=signed)
        with pytest.raises(InputError, match="more than once"):
            exporter.log(1, spikes=np.append(many, signed.type(99)))
        exporter.log(1, spikes=many[::-1])
    with ExperimentLoader(exporter.h5_path) as loader:
        assert loader.get_episode(0).get_spikes()["neuron_ids"].tolist() == [1, 2, *range(100)]
