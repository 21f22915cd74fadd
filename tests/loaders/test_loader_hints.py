"""Timesteps of which attributes say how they go: the same answers, from fewer bytes."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from loaders import DamagedError, ExperimentLoader
from recorder.format.course import Course

COUNT, NEURONS = 60, 5
rng = np.random.default_rng(5)
CLOCKS = {
    "even": np.arange(COUNT) * 3 - 20,
    "repeats": np.sort(rng.integers(0, 25, COUNT)),
    "constant": np.full(COUNT, 7),
    "falls": rng.integers(0, 40, COUNT),
}
RASTER = rng.random((COUNT, NEURONS)) < 0.3
REWARDS = np.repeat(rng.random(COUNT // 4), 4)


def record(path: Path, *, hints: bool, compression: str | None = "gzip") -> Path:
    """Episodes of these clocks, each dataset of them in nine chunks."""
    with synthetic.recording(path) as file:
        for number, steps in enumerate(CLOCKS.values()):
            episode = synthetic.episode(file, number)
            synthetic.timed(episode["behavior"], steps, x=np.arange(COUNT))
            synthetic.column(episode["behavior"], "y_timesteps", steps[:50].astype(np.int64))
            synthetic.column(episode["behavior"], "y", np.arange(50.0), timesteps="y_timesteps")
            synthetic.spikes(episode["spikes"], steps, RASTER)
            synthetic.rewards(episode["rewards"], steps, list(REWARDS))
            for name in (
                "behavior/timesteps",
                "behavior/y_timesteps",
                "spikes/timesteps",
                "rewards/timesteps",
            ):
                if compression != "gzip":
                    _store_again(episode, name, compression)
                if hints:
                    values = episode[name][:]
                    episode[name].attrs.update(Course.of(values).attributes())
    return path


def _store_again(episode: h5py.Group, name: str, compression: str | None) -> None:
    values = episode[name][:]
    del episode[name]
    episode.create_dataset(name, data=values, chunks=(7,), maxshape=(None,), compression=compression)


@pytest.fixture(scope="module", params=["gzip", "lzf", None])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same recording with and without attributes."""
    folder = tmp_path_factory.mktemp("hints")
    made = [record(folder / f"{h}.h5", hints=h, compression=request.param) for h in (True, False)]
    return made[0], made[1]


def everything(episode: Any, start: int | None, stop: int | None) -> list[Any]:
    found = [episode.get_behavior(timesteps=(start, stop)), episode.get_spikes(start, stop)]
    found += [episode.get_spikes(start, stop, neurons=[1, 3]), episode.get_rewards(start, stop)]
    arrays = [array for part in found for array in part.values()]
    arrays += [episode.get_spike_raster(start, stop), episode.spike_timesteps(start, stop)]
    arrays += [episode.stream("behavior/y").read(start, stop), episode.stream("behavior/y").timesteps]
    return [*arrays, *episode.get_reward_runs().values()]


@given(st.integers(0, len(CLOCKS) - 1), st.none() | st.integers(-25, 170), st.none() | st.integers(-25, 170))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_ranges_are_the_same_with_and_without(
    both: tuple[Path, Path], number: int, start: int | None, stop: int | None
) -> None:
    answers = []
    for path in both:
        with ExperimentLoader(path) as loader:
            answers.append(everything(loader.get_episode(number), start, stop))
    for hinted, plain in zip(*answers, strict=True):
        assert hinted.dtype == plain.dtype
        assert_array_equal(hinted, plain)


def spoil(path: Path, name: str, chunks: range) -> None:
    """Make these chunks unreadable."""
    with h5py.File(path, "r+") as file:
        dataset = file[name]
        for number in chunks:
            dataset.id.write_direct_chunk((number * 7,), zlib.compress(b"short"))


def test_even_timesteps_are_computed_and_not_read(tmp_path: Path) -> None:
    path = record(tmp_path / "a.h5", hints=True)
    spoil(path, "episodes/episode_0000/behavior/timesteps", range(1, 8))
    with ExperimentLoader(path) as loader:
        found = loader.get_episode(0).get_behavior()
        assert_array_equal(found["timesteps"], CLOCKS["even"])
        assert found["timesteps"].flags.writeable
        found["timesteps"][:] = 0
        assert_array_equal(loader.get_episode(0).get_behavior()["timesteps"], CLOCKS["even"])


def test_of_sorted_timesteps_some_chunks_are_read(tmp_path: Path) -> None:
    path = record(tmp_path / "a.h5", hints=True)
    spoil(path, "episodes/episode_0001/behavior/timesteps", range(1))
    spoil(path, "episodes/episode_0001/behavior/timesteps", range(7, 9))
    middle = int(CLOCKS["repeats"][30])
    with ExperimentLoader(path) as loader:
        found = loader.get_episode(1).get_behavior(timesteps=(middle, middle + 1))
        assert_array_equal(found["x"], np.flatnonzero(CLOCKS["repeats"] == middle))
        with pytest.raises(DamagedError):
            loader.get_episode(1).get_behavior()


def with_attributes(folder: Path, number: int, **facts: Any) -> Path:
    path = record(folder / "a.h5", hints=False)
    with h5py.File(path, "r+") as file:
        file[f"episodes/episode_{number:04d}/behavior/timesteps"].attrs.update(facts)
    return path


@pytest.mark.parametrize(
    ("number", "facts"),
    [
        (0, {"first": -20}),
        (0, {"first": -20, "step": 3.0}),
        (0, {"first": -20, "step": [3]}),
        (0, {"first": h5py.Empty("i8"), "step": 3}),
        (0, {"first": "-20", "step": "3"}),
        (0, {"first": -20, "step": 2}),
        (0, {"first": -19, "step": 3}),
        (0, {"first": np.uint64(2**64 - 1), "step": 3}),
        (0, {"first": 2**63 - 1, "step": 3}),
        (0, {"sorted": "True"}),
        (1, {"first": 0, "step": 1}),
        (3, {"sorted": True}),
    ],
)
def test_attributes_that_lie_are_a_typed_error(tmp_path: Path, number: int, facts: dict[str, Any]) -> None:
    with ExperimentLoader(with_attributes(tmp_path, number, **facts)) as loader:
        with pytest.raises(DamagedError, match="behavior/timesteps"):
            loader.get_episode(number).get_behavior()
        with pytest.raises(DamagedError, match="behavior/timesteps"):
            loader.get_episode(number).get_behavior(timesteps=(5, 9))


def test_a_running_episode_is_read_without_them(tmp_path: Path) -> None:
    path = with_attributes(tmp_path, 0, first=100, step=1)
    with h5py.File(path, "r+") as file:
        episode = file["episodes/episode_0000"]
        synthetic.commit(episode, {"behavior/timesteps": 14, "behavior/x": 14})
    with ExperimentLoader(path) as loader:
        found = loader.get_episode(0).get_behavior(keys=["x"])
        assert_array_equal(found["timesteps"], CLOCKS["even"][:14])


def test_short_and_old_timesteps_need_none(tmp_path: Path) -> None:
    """Attributes of a dataset with one chunk are not looked at: all of it is read anyway."""
    path = tmp_path / "a.h5"
    with synthetic.recording(path) as file:
        group = synthetic.episode(file)["behavior"]
        synthetic.timed(group, range(7), x=np.arange(7))
        group["timesteps"].attrs["first"] = "nonsense"
    with ExperimentLoader(path) as loader:
        assert_array_equal(loader.get_episode(0).get_behavior()["timesteps"], np.arange(7))
