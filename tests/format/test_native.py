"""The compiled encoders: zlib streams that zlib itself reads, whatever the rows are; spikes; the threads."""

from __future__ import annotations

import os
import threading
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from recorder.format import native
from recorder.format.deflate import INFLATER, begin_chunk, joined, planes_of, start

try:
    compiled: Any = native.load(native.COMPILED)
except ImportError as error:
    pytest.skip(f"{error}: python setup.py build_ext --inplace", allow_module_level=True)

SEGMENT = 2 * 65_535
WINDOW = 1 << 15


@pytest.fixture(autouse=True)
def use_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "MODULE", compiled)


def check(rows: NDArray[Any], parts: list[NDArray[Any]], *, later: bool = False) -> int:
    """The stored chunk is that of ``rows``, to two implementations of zlib; returns its size."""
    finish = begin_chunk(parts, len(rows), "gzip", 4, later=later)
    start()
    data, mask = finish()
    packed = bytes(data)
    assert len(data) == len(packed)
    planes = planes_of(rows).tobytes()
    assert mask == 0
    assert zlib.decompress(packed) == planes
    assert INFLATER.decompress(packed) == planes
    assert len(packed) <= rows.nbytes + 16 + 5 * (rows.itemsize + rows.nbytes // 65_535)
    return len(packed)


dtypes = st.sampled_from(["u1", "?", "<i2", "<u4", "<f4", "<f8", "<i8", "<c16", ">f8", "S3", "V7"])


@given(st.data())
def test_any_rows_come_back(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=40))
    kind = np.dtype(data.draw(dtypes))
    raw = data.draw(st.binary(max_size=64)) + b"\0"
    size = int(np.prod(shape)) * kind.itemsize
    rows = np.frombuffer((raw * (size // len(raw) + 1))[:size], np.uint8).view(kind).reshape(shape)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    check(rows, np.split(rows, cuts), later=data.draw(st.booleans()))


pieces = st.one_of(
    st.tuples(st.just("noise"), st.integers(1, 256), st.integers(1, 40_000)),
    st.tuples(st.just("run"), st.integers(0, 255), st.integers(1, 40_000)),
    st.tuples(st.just("ramp"), st.integers(1, 300), st.integers(1, 40_000)),
    st.tuples(st.just("again"), st.integers(1, 80_000), st.integers(1, 2_000)),
)


@settings(max_examples=40)
@given(st.lists(pieces, min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_whatever_a_plane_is_made_of(made_of: list[tuple[str, int, int]], seed: int) -> None:
    chance = np.random.default_rng(seed)
    plane = np.empty(0, np.uint8)
    for kind, number, length in made_of:
        if kind == "noise":
            more = chance.integers(0, number, length)
        elif kind == "run":
            more = np.full(length, number)
        elif kind == "ramp":
            more = np.arange(length) * number
        else:
            more = plane[max(0, len(plane) - number) :][:length]
        plane = np.concatenate([plane, more.astype(np.uint8)])
    check(plane, [plane])
    whole = plane[: len(plane) // 4 * 4].view(np.float32)
    if len(whole):
        check(whole, [whole])


def test_what_repeats_just_within_and_beyond_the_window() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 2 * WINDOW + 600).astype(np.uint8)
    for distance in (WINDOW - 1, WINDOW, WINDOW + 1):
        plane = np.concatenate([np.zeros(9000, np.uint8), noise[:distance], noise[:300], noise[:5]])
        check(plane, [plane])


@pytest.mark.parametrize(
    "size", [1, 2, 3, 4, 255, 65_535, 65_536, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT + 7]
)
@pytest.mark.parametrize("values", [1, 2, 100, 256])
def test_sizes_at_which_something_changes(size: int, values: int) -> None:
    plane = np.random.default_rng(size).integers(0, values, size).astype(np.uint8)
    check(plane, [plane])


@pytest.mark.parametrize("kind", ["<f8", "<c16", "u1"])
@pytest.mark.parametrize("rows", [1, 2, 5, 20, 100])
def test_a_few_values_that_do_not_shrink_grow_by_little(kind: str, rows: int) -> None:
    noise = np.random.default_rng(rows).integers(0, 256, rows * np.dtype(kind).itemsize).astype(np.uint8)
    assert check(noise.view(kind), [noise.view(kind)]) <= noise.nbytes + 13


def test_codes_that_would_be_too_long_are_cut() -> None:
    # As often as Fibonacci's numbers say: the tree is a chain, the worst there is.
    often = [1, 1]
    while len(often) < 24:
        often.append(often[-1] + often[-2])
    plane = np.repeat(np.arange(len(often), dtype=np.uint8), often)
    np.random.default_rng(0).shuffle(plane)
    for end in (1000, 20_000, SEGMENT - 5, len(plane)):
        check(plane[:end], [plane[:end]])


def test_rows_that_are_not_there_are_zeros() -> None:
    rows = np.random.default_rng(0).random((70, 3))
    assert np.array_equal(joined([rows[:20], rows[20:50]], 70)[:50], rows[:50])
    check(joined([rows[:20], rows[20:50]], 70), [rows[:20], rows[20:50]])
    wide = joined([rows[:1]], 70)
    finish = begin_chunk([rows[:1]], 70, "gzip", 4)
    assert zlib.decompress(bytes(finish()[0])) == planes_of(wide).tobytes()


def test_columns_of_a_table_need_not_be_copied_first() -> None:
    table = np.zeros(1000, [("t", "<i8"), ("x", "<f8"), ("n", "<i2")])
    table["x"], table["n"] = np.random.default_rng(0).random(1000), np.arange(1000)
    for name in ("t", "x", "n"):
        check(np.ascontiguousarray(table[name]), [table[name][:400], table[name][400:]])


def test_clocks_and_constants_take_next_to_nothing() -> None:
    clock = np.arange(10_000, 20_000)
    assert check(clock, [clock]) < 800
    constant = np.full((131, 1000), -65.0)
    assert check(constant, [constant]) < 1500
    assert check(np.zeros(10_000), [np.zeros(10_000)]) < 150


@given(hnp.arrays(st.sampled_from(["?", "u1", "i1"]), hnp.array_shapes(max_dims=2, max_side=200)))
def test_cells_are_numpys(raster: NDArray[Any]) -> None:
    assert np.array_equal(compiled.cells(raster), np.flatnonzero(raster))


def test_cells_of_large_rasters() -> None:
    for rate in (0.0, 0.001, 0.5, 1.0):
        raster = np.random.default_rng(0).random((777, 101)) < rate
        assert np.array_equal(compiled.cells(raster), np.flatnonzero(raster))


def test_a_raster_that_changes_meanwhile_overflows_nothing() -> None:
    raster = np.zeros(1 << 20, np.uint8)
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            raster[::3] = 1
            raster[:] = 0

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(50):
            assert len(compiled.cells(raster)) <= len(raster)
    finally:
        done.set()
        changing.join()


def test_what_is_no_chunk_is_refused() -> None:
    for array in (np.zeros((4, 6))[:, ::2], np.zeros(4)[::-1], np.zeros((3, 2), order="F")):
        with pytest.raises(ValueError, match="contiguous rows"):
            compiled.encode((array,), len(array), array.nbytes // len(array), 8, 32, False)
    for rows, row_bytes, width in ((0, 8, 8), (4, 0, 8), (4, 8, 0), (4, 8, 3), (2**40, 8, 8), (1, 8, 8)):
        with pytest.raises(ValueError, match=r"no chunk|contiguous rows"):
            compiled.encode((np.zeros(2),), rows, row_bytes, width, 32, False)
    with pytest.raises(TypeError):
        compiled.encode(([1.0],), 1, 8, 8, 32, False)
    with pytest.raises(ValueError, match="contiguous array of bytes"):
        compiled.cells(np.zeros(4))


def test_chunks_that_nobody_waits_for_are_let_go_of() -> None:
    for _ in range(50):
        begun = [
            compiled.encode((np.random.default_rng(n).random(9000),), 9000, 8, 8, 32, True) for n in range(6)
        ]
        compiled.start(3)
        assert len(begun[-1])
        del begun


def test_a_fork_may_come_while_threads_encode() -> None:
    rows = np.random.default_rng(0).random((500, 200))
    expected = bytes(compiled.encode((rows,), 500, 1600, 8, 32, False))
    for _ in range(20):
        begun = [compiled.encode((rows,), 500, 1600, 8, 32, True) for _ in range(4)]
        compiled.start(2)
        child = os.fork()
        if child == 0:
            # What the parent began is nothing to the child, whose own chunks are encoded all the same.
            del begun
            own = compiled.encode((rows,), 500, 1600, 8, 32, True)
            compiled.start(2)
            os._exit(0 if bytes(own) == expected else 1)
        assert all(bytes(chunk) == expected for chunk in begun)
        assert os.waitpid(child, 0)[1] == 0
