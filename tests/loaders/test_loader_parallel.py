"""What is read past HDF5, by several threads and from remembered bytes, equals what h5py reads."""

from __future__ import annotations

import threading
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
from recorder.format.clock import Clock
from recorder.h5.reading import places as places_module
from recorder.h5.reading import rows as rows_module
from recorder.h5.reading import together as together_module
from recorder.h5.reading.chunks import KeptChunks
from recorder.h5.reading.clocks import KnownTimesteps, read_clock
from recorder.h5.reading.rows import read_rows
from recorder.h5.reading.together import together
from recorder.h5.untrusted import OpenUntrusted, open_untrusted

FILTERS: dict[str, Any] = {"compression": "gzip", "shuffle": True}
ROWS = 1000


def stored(path: Path, values: Any, chunk: int, **more: Any) -> Path:
    with h5py.File(path, "w", libver=("v110", "v110"), **more) as file:
        file.create_dataset(
            "x",
            data=values,
            chunks=(chunk, *values.shape[1:]),
            maxshape=(None, *values.shape[1:]),
            **FILTERS,
        )
    return path


@pytest.fixture(scope="module")
def noise_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = np.random.default_rng(1).normal(size=(ROWS, 3))
    return stored(tmp_path_factory.mktemp("noise") / "a.h5", values, 16)


@pytest.mark.parametrize("parallel", [1, 1 << 40])
@given(span=st.tuples(st.integers(0, ROWS), st.integers(0, ROWS)), column=st.integers(0, 2))
def test_any_range_equals_h5py(noise_file: Path, parallel: int, span: tuple[int, int], column: int) -> None:
    low, high = sorted(span)
    with open_untrusted(noise_file) as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_module, "PARALLEL_BYTES", parallel)
        patch.setattr(together_module, "usable_cores", lambda: 3)
        dataset, kept = file["x"], KeptChunks(file)
        for _ in range(2):  # the second time from what was kept
            assert_array_equal(read_rows(dataset, low, high, None, kept), dataset[low:high])
        assert_array_equal(read_rows(dataset, low, high, column, kept), dataset[low:high, column])


@pytest.mark.parametrize("width", [1, 7, 8, 40])
def test_a_range_reads_its_chunks_and_no_others(
    noise_file: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    read: list[int] = []
    whole = places_module.os.pread

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        read.append(offset)
        return whole(descriptor, size, offset)

    monkeypatch.setattr(places_module.os, "pread", pread)
    with open_untrusted(noise_file) as file:
        read_rows(file["x"], 100, 100 + width, None, KeptChunks(file))
    assert len(read) == (100 + width - 1) // 16 - 100 // 16 + 1


def test_a_file_behind_a_user_block_is_read_through_hdf5(tmp_path: Path) -> None:
    values = np.arange(100.0).reshape(50, 2)
    path = stored(tmp_path / "a.h5", values, 8, userblock_size=512)
    with open_untrusted(path) as file:
        assert isinstance(file, OpenUntrusted)
        assert file.raw is None
        assert_array_equal(read_rows(file["x"], 3, 49, None, KeptChunks(file)), values[3:49])


def test_closing_lets_go_of_the_file(noise_file: Path) -> None:
    file = open_untrusted(noise_file)
    raw = file.raw
    assert raw is not None
    file.close()
    assert file.raw is None
    del file
    assert not raw.closed  # a read that began before still has it


@pytest.mark.parametrize("cut", [1, 40, 3000])
def test_a_file_that_is_cut_is_damaged(tmp_path: Path, cut: int) -> None:
    values = np.random.default_rng(2).normal(size=(ROWS, 3))
    with synthetic.recording(tmp_path / "a.h5") as file:
        group = synthetic.episode(file)["neural_states"]
        synthetic.timed(group, range(ROWS), v=values)
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        stream = loader.get_episode(0).stream("neural_states/v")
        assert_array_equal(stream.read(), values)
        file = loader.h5_file
        info = file["episodes/episode_0000/neural_states/v"].id.get_chunk_info(0)
        end = info.byte_offset + info.size
        if file.raw is None:
            pytest.skip("not read by position")
        with (tmp_path / "a.h5").open("r+b") as out:
            out.truncate(max(end - cut, 0))
        with pytest.raises(DamagedError):
            loader.get_episode(0).stream("neural_states/v").read()


CLOCKS = st.one_of(
    st.tuples(st.integers(-(2**40), 2**40), st.integers(1, 1000), st.integers(0, 90)).map(
        lambda line: [line[0] + line[1] * i for i in range(line[2])]
    ),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40),
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(
        lambda line: [*range(line[0]), *range(line[0] + 1, line[0] + line[1])]
    ),
)


@given(steps=CLOCKS)
def test_any_timesteps_come_back(tmp_path_factory: pytest.TempPathFactory, steps: list[int]) -> None:
    path = tmp_path_factory.mktemp("clock") / "a.h5"
    values = np.array(steps, np.int64)
    stored(path, values, 8)
    known = KnownTimesteps()
    with open_untrusted(path) as file:
        for count in {len(values), len(values) // 2}:
            for _ in range(2):  # the second time from remembered bytes
                clock = read_clock(file["x"], count, KeptChunks(file), known)
                assert_array_equal(clock.values(), values[:count])
                assert_array_equal(Clock.of([values[:count]]).values(), values[:count])
                rows = np.arange(count, dtype=np.int64)
                assert_array_equal(clock.put_values(rows), values[:count])


def test_timesteps_that_several_streams_share_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with synthetic.recording(tmp_path / "a.h5") as file:
        for number in range(3):
            episode = synthetic.episode(file, number)
            for group in ("neural_states", "behavior"):
                synthetic.timed(episode[group], range(500), x=np.zeros(500))
    decoded: list[int] = []
    even = Clock.even
    monkeypatch.setattr(Clock, "even", lambda block: decoded.append(len(block)) or even(block))
    with ExperimentLoader(tmp_path / "a.h5") as loader:
        for number in range(3):
            episode = loader.get_episode(number)
            assert_array_equal(episode.get_behavior()["timesteps"], np.arange(500))
            assert_array_equal(episode.get_neural_states()["timesteps"], np.arange(500))
    assert sum(decoded) == 500


@pytest.mark.parametrize("threads", [1, 4])
def test_the_earliest_error_is_raised_and_no_thread_stays(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(together_module, "usable_cores", lambda: threads)
    before, done = threading.active_count(), []

    def work(item: int) -> None:
        done.append(item)
        if item >= 5:
            raise ValueError(item)

    with pytest.raises(ValueError, match=r"^5$"):
        together(work, range(1000))
    assert len(done) < 20
    assert threading.active_count() == before


def test_where_no_thread_can_be_had_the_caller_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    done: list[int] = []
    together(done.append, range(10))
    assert done == list(range(10))
