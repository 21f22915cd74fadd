"""Trees of values in HDF5 groups: what goes in comes back, in datasets any tool can read."""

import h5py
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recorder.errors import InputError, InvalidNameError, OptionError
from recorder.h5.columns import CHUNK_BYTES, chunk_shape, put_array, read_array
from recorder.h5.keywords import filter_keywords
from recorder.h5.tree import get_document, put_document, put_tree, put_values, read_tree


@pytest.fixture
def group(tmp_path):
    with h5py.File(tmp_path / "f.h5", "x", libver=("v110", "v110")) as file:
        yield file.create_group("g")


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6).reshape(2, 3),
        np.zeros((0, 3), "f4"),
        np.zeros((3, 0)),
        np.array([True, False]),
        np.array([1j]),
        np.array(["a", "ä\0b", ""]),
        np.array([["a"]]),
        np.array([b"raw", b""]),
        np.float16(1.5),
        np.uint8(7),
        5,
        -0.5,
        True,
        "text ä",
        "",
        None,
        "x" * 100_000,
        [1, "a", None],
        [],
        (1, 2),
        {1, 2},
        2**100,
        np.array(["2026-01-01"], "M8[D]"),
        {"deep": {"er": {}}},
        {1: np.arange(2)},
        b"bytes",
    ],
    ids=range(26),
)
def test_values_come_back(group, value):
    put_tree(group, {"k": value})
    back = read_tree(group)["k"]
    if isinstance(value, np.ndarray):
        assert back.tolist() == value.tolist()
        assert back.shape == value.shape
        assert back.dtype.kind == value.dtype.kind
    else:
        assert repr(back) == repr(value) or back == value
    for item in group.values():
        if isinstance(item, h5py.Dataset):
            assert item.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS


@given(hnp.arrays(hnp.scalar_dtypes().filter(lambda d: d.kind in "biufcU"), hnp.array_shapes(max_side=4)))
def test_any_array(array):
    if (array.dtype.kind == "f" and array.dtype.itemsize > 8) or (
        array.dtype.kind == "c" and array.dtype.itemsize > 16
    ):
        return
    with h5py.File.in_memory() as file:
        try:
            put_array(file, "a", array)
        except InputError:
            assert array.dtype.kind == "U"
            return
        back = read_array(file["a"])
    assert back.shape == array.shape
    if array.dtype.kind == "U":
        assert back.tolist() == array.tolist()
    else:
        assert back.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


def test_lists(group):
    put_tree(
        group, {"n": [1, 2], "f": [[1.0], [2.0]], "s": ["a", "bc"], "mixed": [1, 2.0], "ragged": [[1], []]}
    )
    assert sorted(group) == ["f", "n", "s"]
    tree = read_tree(group)
    assert tree["mixed"] == [1, 2.0]
    assert [type(item) for item in tree["mixed"]] == [int, float]
    assert tree["ragged"] == [[1], []]


@pytest.mark.parametrize("name", ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
def test_sparse(group, name):
    matrix = scipy.sparse.random_array((5, 4), density=0.4, format="coo", rng=1).asformat(name)
    put_tree(group, {"m": matrix})
    back = read_tree(group)["m"]
    assert type(back) is type(matrix)
    assert back.toarray().tolist() == matrix.toarray().tolist()


def test_nothing_is_written_when_anything_is_refused(group):
    for wrong in ({"a": 1, "b": object()}, {"a": 1, "b/c": 2}, {"a": {"b": {"c": object()}}}):
        with pytest.raises(InputError):
            put_tree(group, wrong)
    with pytest.raises(InvalidNameError):
        put_tree(group, {"a": 1, 2: 3})
    assert not len(group)
    assert not len(group.attrs)


def test_documents_change_places(group):
    for value in ("short", "x" * 50_000, "short again", None):
        put_document(group, "d", value)
        assert get_document(group, "d", "default") == value
        assert ("d" in group) != ("d" in group.attrs)
    assert get_document(group, "absent", 5) == 5


def test_mirror_attributes(group):
    big, odd = 2**63, {"json": 1, "a\0b": 2, "": 3, "\ud800": 4, 5: 6}
    put_values(group, {"i": 1, "f": 0.5, "b": True, "s": "ä", "big": big, "l": [1], "nul": "a\0", **odd})
    assert {key: v for key, v in group.attrs.items() if key != "json"} == {
        "i": 1,
        "f": 0.5,
        "b": True,
        "s": "ä",
    }
    assert get_document(group, "json")["big"] == big
    with pytest.raises(InputError):
        put_values(group, {"a": object()})
    assert group.attrs["i"] == 1


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=4), st.sampled_from([1, 8, 16, 4000]))
def test_chunks_are_bounded(shape, itemsize):
    chunk = chunk_shape(tuple(shape), itemsize)
    assert all(1 <= c <= max(n, 1) for c, n in zip(chunk, shape, strict=True))
    assert np.prod(chunk) * itemsize <= max(CHUNK_BYTES, itemsize)


def test_filters():
    assert filter_keywords(None, 4) == {}
    assert filter_keywords("lzf", 4) == {"compression": "lzf", "shuffle": True}
    assert filter_keywords("gzip", None)["compression_opts"] == 4
    with pytest.raises(OptionError, match="zstd"):
        filter_keywords("zst", None)
    with pytest.raises(OptionError, match="level=10"):
        filter_keywords("gzip", 10)


def test_filters_of_hdf5plugin(group):
    pytest.importorskip("hdf5plugin")
    dataset = put_array(group, "a", np.arange(9), filter_keywords("zstd", 3))
    assert dataset[:].tolist() == [*range(9)]
