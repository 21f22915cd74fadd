"""Dense streams: ranges of rows, timesteps and neurons equal slices of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from loaders import DamagedError, ExperimentLoader
from recorder.h5.reading import rows as rows_module
from recorder.h5.reading import together as together_module
from recorder.h5.reading.chunks import ChunkLayout, KeptChunks
from recorder.h5.reading.rows import read_at, read_rows

DTYPES = ("bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64", "complex128")


def noise(shape: tuple[int, ...], dtype: str) -> Any:
    rng = np.random.default_rng(1)
    return rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", [(), (5,), (3, 2), (0,)])
def test_every_dtype_and_row_shape(tmp_path: Path, dtype: str, row: tuple[int, ...]) -> None:
    values = noise((23, *row), dtype)
    with synthetic.recording(tmp_path / "a.h5") as file:
        synthetic.timed(synthetic.episode(file)["neural_states"], range(100, 146, 2), v=values)
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        stream = loader.get_episode(0).stream("neural_states/v")
        assert stream.dtype == values.dtype
        assert stream.shape == values.shape
        assert len(stream) == 23
        whole = stream.read()
        assert whole.dtype == values.dtype
        assert_array_equal(whole, values)
        assert_array_equal(stream.read(110, 131), values[5:16])
        assert_array_equal(np.asarray(stream), values)
        assert_array_equal(stream[3:-4:2], values[3:-4:2])
        assert_array_equal(stream[::-3], values[::-3])
        assert_array_equal(stream[-1], values[-1])
        assert_array_equal(stream.timesteps, np.arange(100, 146, 2))


@pytest.fixture(scope="module")
def steps_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clocks: even, uneven and not in order, over the same values."""
    path = tmp_path_factory.mktemp("streams") / "a.h5"
    values = noise((40, 6), "float32")
    rng = np.random.default_rng(2)
    with synthetic.recording(path) as file:
        for number, steps in enumerate(CLOCKS(rng)):
            synthetic.timed(synthetic.episode(file, number)["neural_states"], steps, v=values)
    return path


def CLOCKS(rng: np.random.Generator) -> list[Any]:  # noqa: N802
    return [np.arange(0, 120, 3), np.sort(rng.integers(0, 60, 40)), rng.integers(-20, 60, 40)]


@given(
    clock=st.integers(0, 2),
    start=st.none() | st.integers(-30, 130),
    stop=st.none() | st.integers(-30, 130),
    neurons=st.none()
    | st.integers(-6, 5)
    | st.lists(st.integers(-6, 5), max_size=8)
    | st.slices(6)
    | st.lists(st.booleans(), min_size=6, max_size=6).map(np.array),
)
def test_a_range_equals_a_mask_of_the_whole(
    steps_file: Path, clock: int, start: int | None, stop: int | None, neurons: Any
) -> None:
    with ExperimentLoader(steps_file) as loader:
        episode = loader.get_episode(clock)
        values, steps = episode.stream("neural_states/v").read(), episode.stream("neural_states/v").timesteps
        assert_array_equal(steps, CLOCKS(np.random.default_rng(2))[clock] if clock < 2 else steps)
        inside = np.ones(len(steps), bool)
        inside &= True if start is None else steps >= start
        inside &= True if stop is None else steps < stop
        pick = np.array(neurons, int) if isinstance(neurons, list) else neurons
        expected = values[inside] if neurons is None else values[inside][:, pick]
        found = episode.stream("neural_states/v").read(start, stop, neurons)
        assert found.shape == expected.shape
        assert_array_equal(found, expected)
        columns = episode.get_neural_states(timesteps=(start, stop), neurons=neurons)
        assert_array_equal(columns["v"], expected)
        assert_array_equal(columns["timesteps"], steps[inside])


@given(st.slices(40))
def test_row_numbers_slice_as_numpy_does(steps_file: Path, rows: slice) -> None:
    with ExperimentLoader(steps_file) as loader:
        episode = loader.get_episode(2)
        whole = episode.get_neural_states()
        part = episode.get_neural_states(rows.start, rows.stop)
        assert part.keys() == {"timesteps", "v"}
        for key, values in part.items():
            assert_array_equal(values, whole[key][slice(rows.start, rows.stop)])


def test_late_streams_have_their_own_clock(tmp_path: Path) -> None:
    late = np.arange(8.0)
    with synthetic.recording(tmp_path / "a.h5") as file:
        group = synthetic.episode(file)["behavior"]
        synthetic.timed(group, range(20), x=np.arange(20))
        synthetic.column(group, "late", late, timesteps="late_timesteps")
        synthetic.column(group, "late_timesteps", np.arange(12, 20))
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        episode = loader.get_episode(0)
        assert list(episode.behavior) == ["late", "x"]
        assert episode.streams == ["behavior/late", "behavior/x"]
        found = episode.get_behavior()
        assert list(found) == ["timesteps", "late", "late_timesteps", "x"]
        assert_array_equal(found["late_timesteps"], np.arange(12, 20))
        part = episode.get_behavior(timesteps=(10, 14))
        assert_array_equal(part["x"], [10, 11, 12, 13])
        assert_array_equal(part["late"], late[:2])
        assert_array_equal(part["late_timesteps"], [12, 13])
        rows = episode.get_behavior(10, 14)
        assert_array_equal(rows["late"], late[:2])
        assert_array_equal(episode.get_behavior(3, 3)["late"], [])
        assert list(episode.get_behavior(keys=["x"])) == ["timesteps", "x"]
        assert_array_equal(episode.behavior["late"].read(12, 14), late[:2])


def test_nothing_logged_and_wrong_names(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        synthetic.timed(synthetic.episode(file)["behavior"], range(3), x=[1, 2, 3])
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        episode = loader.get_episode(0)
        assert episode.get_neural_states() == {}
        assert len(episode.neural_states) == 0
        with pytest.raises(KeyError, match=r"no stream 'neural_states/v'; it has behavior/x"):
            episode.stream("neural_states/v")
        with pytest.raises(KeyError, match="has no y; it has x"):
            episode.get_behavior(keys=["x", "y"])
        with pytest.raises(KeyError, match="behavior/y"):
            episode.behavior["y"]
        with pytest.raises(ValueError, match="not both"):
            episode.get_behavior(1, timesteps=(0, 1))
        with pytest.raises(IndexError, match="no neurons"):
            episode.stream("behavior/x").read(neurons=0)
        with pytest.raises(IndexError, match="row 3 of 3"):
            episode.stream("behavior/x")[3]


def test_neurons_that_are_not_there(steps_file: Path) -> None:
    with ExperimentLoader(steps_file) as loader:
        stream = loader.get_episode(0).stream("neural_states/v")
        for wrong in (6, -7, [0, 6], np.ones(5, bool)):
            with pytest.raises(IndexError):
                stream.read(neurons=wrong)
        with pytest.raises(TypeError):
            stream.read(neurons=[0.5])


def test_values_without_timesteps_are_damage(tmp_path: Path) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        group = synthetic.episode(file)["behavior"]
        synthetic.timed(group, range(5), x=[1, 2, 3])
        synthetic.column(group, "lost", [1, 2], timesteps="lost_timesteps")
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        episode = loader.get_episode(0)
        with pytest.raises(DamagedError, match=r"behavior/x: 3 rows, but 5 timesteps"):
            episode.stream("behavior/x").read()
        with pytest.raises(DamagedError, match="lost_timesteps is missing"):
            episode.get_behavior()


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("filters", [{"compression": "gzip", "shuffle": True}, {"compression": "gzip"}, {}])
def test_many_chunks_in_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, filters: dict[str, Any]
) -> None:
    monkeypatch.setattr(rows_module, "PARALLEL_BYTES", 1)
    monkeypatch.setattr(together_module, "usable_cores", lambda: threads)
    values = noise((1000, 17), "float64")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", data=values, chunks=(32, 17), maxshape=(None, 17), **filters)
        assert (ChunkLayout.of(dataset) is None) == (not filters)
        assert_array_equal(read_rows(dataset, 5, 991), values[5:991])
        assert_array_equal(read_rows(dataset, 5, 991, slice(3, 9)), values[5:991, 3:9])
        assert_array_equal(read_rows(dataset, 31, 33, 4), values[31:33, 4])
        assert_array_equal(read_at(dataset, np.array([7, 500, 999])), values[[7, 500, 999]])
        assert read_rows(dataset, 7, 7).shape == (0, 17)
        kept = KeptChunks()
        monkeypatch.setattr(rows_module, "PARALLEL_BYTES", 1 << 30)
        for row in (0, 40, 41, 900, 0, 40):
            assert_array_equal(read_rows(dataset, row, row + 40, None, kept), values[row : row + 40])
            assert_array_equal(read_at(dataset, np.array([row, row + 9]), 3, kept), values[[row, row + 9], 3])


@pytest.mark.parametrize("mask", [0, 1, 2, 3, 0xFFFFFFFF])
def test_filter_masks(tmp_path: Path, mask: int) -> None:
    import zlib

    values = noise((8, 3), "int32")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(
            "x", (8, 3), "i4", chunks=(8, 3), maxshape=(None, 3), shuffle=True, compression="gzip"
        )
        raw = values.tobytes()
        if not mask & 1:
            raw = np.frombuffer(raw, np.uint8).reshape(-1, 4).T.tobytes()
        if not mask & 2:
            raw = zlib.compress(raw)
        dataset.id.write_direct_chunk((0, 0), raw, mask)
    with h5py.File(tmp_path / "a.h5") as file:
        dataset = file["x"]
        assert_array_equal(dataset[()], values)
        assert_array_equal(read_rows(dataset, 0, 8), values)
        assert_array_equal(read_rows(dataset, 2, 7, [2, 0]), values[2:7, [2, 0]])


def test_a_raw_chunk_is_read_where_it_was_just_written(tmp_path: Path) -> None:
    """HDF5 forgets the filter mask there, and its own read fails."""
    values = noise((16, 3), "int32")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(
            "x", values.shape, "i4", chunks=(8, 3), maxshape=(None, 3), shuffle=True, compression="gzip"
        )
        for row in (0, 8):
            dataset.id.write_direct_chunk((row, 0), values[row : row + 8].tobytes(), 0xFFFFFFFF)
            assert_array_equal(read_rows(dataset, 0, row + 8), values[: row + 8])


def test_every_layout_is_read(tmp_path: Path) -> None:
    values = noise((20, 4), "int32")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        others = {
            "checked": {"chunks": (5, 4), "compression": "gzip", "shuffle": True, "fletcher32": True},
            "lzf": {"chunks": (5, 4), "compression": "lzf"},
            "split": {"chunks": (5, 2), "compression": "gzip"},
            "contiguous": {},
            "swapped": {"dtype": ">i4", "chunks": (5, 4), "compression": "gzip", "shuffle": True},
        }
        for name, filters in others.items():
            dataset = file.create_dataset(name, data=values, **filters)
            assert (ChunkLayout.of(dataset) is None) == (name in ("lzf", "contiguous"))
            assert_array_equal(read_rows(dataset, 3, 17), values[3:17])
            assert_array_equal(read_rows(dataset, 3, 17, [3, 1]), values[3:17][:, [3, 1]])


def test_only_chunks_of_which_something_is_left_are_kept(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = synthetic.column(file, "x", np.arange(60.0).reshape(20, 3))
        kept = KeptChunks()
        for start, stop, select, rows in ((0, 20, None, []), (3, 20, None, [0]), (7, 14, 1, [0, 7])):
            read_rows(dataset, start, stop, select, kept=kept)
            assert [row for row in range(0, 20, 7) if kept.get("/x", row)] == rows
