"""Silent intervals, runs and chunk filters: what is decoded is what was encoded."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from recorder.format.deflate import encode_chunk, inflate, planes_of, unshuffle
from recorder.format.runs import RunEncoder, decode_runs
from recorder.format.spikes import SILENCE, IntervalEncoder, anchor_rows, decode_cells, raster_cells

RASTERS = hnp.arrays(bool, st.tuples(st.integers(0, 40), st.integers(1, 12)))


def split(array: NDArray[np.generic], cuts: list[int]) -> list[NDArray[np.generic]]:
    return np.split(array, sorted(c % (len(array) + 1) for c in cuts))


@given(RASTERS, st.lists(st.integers(0, 40), max_size=5), st.integers(1, 9))
def test_spikes_survive_any_cutting_into_blocks(
    raster: NDArray[np.bool_], cuts: list[int], every: int
) -> None:
    rows, neurons = raster.shape
    encoder = IntervalEncoder(neurons, every)
    parts = [encoder.feed(raster_cells(part), len(part)) for part in split(raster, cuts)]
    intervals = np.concatenate([p[0] for p in parts])
    anchors = np.concatenate([p[1] for p in parts])
    cells = np.flatnonzero(raster)
    assert intervals.dtype == np.uint32
    assert np.array_equal(decode_cells(intervals), cells)
    assert anchors[:, 0].tolist() == list(range(0, rows, every))
    for row, item, cell in anchors:
        assert np.array_equal(decode_cells(intervals[item:], cell), cells[cells >= row * neurons])


@given(st.lists(st.integers(0, 2**36), unique=True, max_size=20), st.integers(1, 100_000))
def test_long_silence_is_told_in_several_intervals(places: list[int], neurons: int) -> None:
    cells = np.array(sorted(places), np.int64)
    rows = int(cells[-1]) // neurons + 1 if len(cells) else 1
    encoder = IntervalEncoder(neurons, max(1, rows // 3))
    intervals, anchors = encoder.feed(cells, rows)
    assert np.array_equal(decode_cells(intervals), cells)
    for row, item, cell in anchors:
        assert np.array_equal(decode_cells(intervals[item:], cell), cells[cells >= row * neurons])
    assert (intervals == SILENCE).sum() == encoder.items - len(cells)


def test_bernoulli_spikes_come_within_a_tenth_of_the_shannon_bound() -> None:
    neurons, steps, p = 100, 200_000, 0.02
    cells = np.flatnonzero(np.random.default_rng(1).random(neurons * steps) < p)
    intervals, _ = IntervalEncoder(neurons, anchor_rows(neurons)).feed(cells, steps)
    size = sum(
        len(encode_chunk(part, "gzip", 4)[0]) for part in np.array_split(intervals, len(intervals) // 16_384)
    )
    bound = -(p * np.log2(p) + (1 - p) * np.log2(1 - p)) * neurons * steps / 8
    assert size < 1.10 * bound


@given(
    st.lists(st.sampled_from([0.0, -0.0, float("nan"), 1.5, float("inf"), 5e-324]), max_size=60),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_runs_keep_every_bit(values: list[float], cuts: list[int]) -> None:
    rewards = np.array(values, np.float64)
    encoder = RunEncoder()
    parts = [encoder.feed(part) for part in split(rewards, cuts)]
    parts.append(encoder.close())
    decoded = decode_runs(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
    assert np.array_equal(decoded.view(np.int64), rewards.view(np.int64))
    lengths = np.concatenate([p[1] for p in parts])
    runs = 1 + int((rewards.view(np.int64)[1:] != rewards.view(np.int64)[:-1]).sum()) if len(rewards) else 0
    assert len(lengths) == runs


@pytest.mark.parametrize("dtype", ["?", "i1", "f2", "i4", "f8", "c16"])
@pytest.mark.parametrize("level", [0, 1, 4, 7, 9])
def test_a_chunk_is_an_ordinary_zlib_stream(dtype: str, level: int) -> None:
    chunk = (np.arange(3000) % 7).astype(dtype)
    data, mask = encode_chunk(chunk, "gzip", level)
    assert mask == 0
    raw = np.frombuffer(zlib.decompress(data), np.uint8)
    assert np.array_equal(raw, np.frombuffer(inflate(bytes(data), chunk.nbytes), np.uint8))
    assert unshuffle(raw, chunk.dtype.itemsize).tobytes() == chunk.tobytes()
    assert np.array_equal(planes_of(chunk).reshape(-1), raw)


def test_what_does_not_shrink_has_a_checksum_all_the_same() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 5000).astype(np.uint8)
    data, mask = encode_chunk(noise, "gzip", 4)
    assert mask == 0
    assert len(data) <= 5020
    assert zlib.decompress(data) == noise.tobytes()
