"""Weights as CSR: every set bit survives, and what was given comes back."""

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recorder.errors import DamagedError, StreamShapeError, StreamTypeError
from recorder.format.sparse import from_csr, is_sparse, to_csr

DTYPES = st.sampled_from(["?", "i1", "u8", "f2", "f4", "f8", "c8", "c16"])


@given(hnp.arrays(DTYPES, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=5)))
def test_dense_bit_for_bit(matrix):
    csr = to_csr(matrix)
    assert csr.indptr.dtype == csr.indices.dtype == np.int64
    back = from_csr(csr.indptr, csr.indices, csr.data, csr.shape, csr.given)
    assert back.dtype == matrix.dtype
    assert back.shape == matrix.shape
    assert back.tobytes() == matrix.tobytes()


def test_explicit_zeros_and_duplicates():
    matrix = scipy.sparse.csr_array(
        (np.array([0.0, -0.0, 1.0]), np.array([1, 0, 1]), np.array([0, 2, 3])), shape=(2, 3)
    )
    csr = to_csr(matrix)
    assert csr.data.tolist() == [0.0, -0.0, 1.0]
    assert csr.indices.tolist() == [1, 0, 1]
    twice = scipy.sparse.coo_array((np.array([1.0, 2.0]), (np.array([0, 0]), np.array([1, 1]))), shape=(1, 2))
    assert to_csr(twice).data.tolist() == [3.0]
    matrix.data[:] = 9
    assert csr.data.tolist() == [0.0, -0.0, 1.0]


def test_given():
    assert to_csr(np.eye(2)).given == "dense"
    assert to_csr(scipy.sparse.eye_array(2, format="lil")).given == "lil_array"
    assert is_sparse(scipy.sparse.coo_matrix(np.eye(2)))
    assert not is_sparse(np.eye(2))
    csr = to_csr(np.eye(2))
    assert isinstance(from_csr(csr.indptr, csr.indices, csr.data, (2, 2), "coo"), scipy.sparse.coo_array)


def test_refused():
    for wrong in (np.zeros(3), np.zeros((1, 1, 1)), scipy.sparse.coo_array(np.zeros(3))):
        with pytest.raises(StreamShapeError):
            to_csr(wrong)
    for odd in (np.array([["a"]]), np.array([[None]])):
        with pytest.raises(StreamTypeError):
            to_csr(odd)


@pytest.mark.parametrize(
    ("indptr", "indices", "data"),
    [
        ([0, 1], [0], [1.0]),
        ([0, 1, 2], [0, 5], [1.0, 1.0]),
        ([0, 1, 2], [0, -1], [1.0, 1.0]),
        ([0, 2, 1], [0], [1.0]),
        ([0, 1, 2], [0, 1], [1.0]),
        ([1, 1, 1], [0], [1.0]),
        ([[0, 1, 2]], [0, 1], [1.0, 1.0]),
    ],
)
def test_damaged(indptr, indices, data):
    with pytest.raises(DamagedError):
        from_csr(indptr, indices, data, (2, 3))
    with pytest.raises(DamagedError):
        from_csr([0, 0, 0], [], [], (2, 3), "evil_array")
