"""Single arrays in HDF5: chunked, compressed, text as fixed-length UTF-8, never contiguous.

Why never: a contiguous dataset in a file whose writer was killed in SWMR mode cannot be read. Values
without dimensions cannot be chunked and stand compact, inside their object header.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recorder.admission import as_array
from recorder.errors import InputError, StreamTypeError
from recorder.format.layout import ATTRIBUTE_LIMIT
from recorder.h5.keywords import GZIP
from recorder.h5.reading.rows import read_whole

CHUNK_BYTES = 1 << 20
MAX_DIMENSIONS = 32
"""HDF5's own limit."""


def as_column(where: str, value: Any) -> NDArray[Any]:
    """``value`` as an array that a dataset can hold: numbers, or text as bytes in UTF-8.

    Text (arrays of dtype ``U``, NumPy's StringDType, objects that are all ``str``, lists of
    ``str``, a single ``str``) becomes dtype ``S`` with h5py's UTF-8 tag; everything else goes
    through :func:`recorder.admission.as_array`.

    Raises
    ------
    StreamTypeError
        Neither numbers nor text, or a mixture.
    InputError
        Text that UTF-8 cannot encode, or that ends in NUL, which fixed-length text cannot keep.
    """
    if getattr(value, "ndim", 0) > MAX_DIMENSIONS:
        raise StreamTypeError(where, f"at most {MAX_DIMENSIONS} dimensions", f"{value.ndim}")
    if isinstance(value, np.ndarray) and value.dtype.kind == "S" and type(value) is np.ndarray:
        return value
    if not is_text(value):
        return as_array(where, None, value)
    texts = np.asarray(value, dtype=object)
    try:
        encoded = [text.encode() for text in texts.ravel()]
    except UnicodeEncodeError as error:
        raise InputError(where, "text that UTF-8 can encode", str(error)) from error
    if any(text.endswith(b"\0") for text in encoded):
        raise InputError(where, "text that does not end in NUL", "text that does")
    length = max(map(len, encoded), default=0) or 1
    return np.array(encoded, h5py.string_dtype("utf-8", length)).reshape(texts.shape)


def is_text(value: Any) -> bool:
    """Whether ``value`` is text or an array or list of nothing but text."""
    if isinstance(value, str):
        return True
    if isinstance(value, np.ndarray) and value.dtype.kind in "UT":
        return True
    if not isinstance(value, list | tuple) and getattr(value, "dtype", None) != np.dtype(object):
        return False
    try:
        texts = np.asarray(value, dtype=object)
    except Exception:
        # Of whatever kind: arrays of other libraries within a list run their own code.
        return False
    return texts.size > 0 and all(isinstance(text, str) for text in texts.flat)


def put_array(group: Any, name: str, array: Any, filters: dict[str, Any] = GZIP) -> Any:
    """Store ``array`` as the dataset ``name`` of ``group``; returns the dataset.

    Takes what :func:`as_column` takes, empty arrays and 0-d values too (``dataset[()]`` of those is
    a scalar). ``filters`` are the keywords of :func:`recorder.h5.keywords.filter_keywords`.

    Raises
    ------
    InputError
        See :func:`as_column`; nothing was written.
    """
    column = as_column(name, array)
    if not column.shape:
        return _put_scalar(group, name, column)
    return group.create_dataset(
        name,
        data=column,
        dtype=column.dtype,
        chunks=chunk_shape(column.shape, column.dtype.itemsize),
        maxshape=tuple(n or None for n in column.shape),
        **filters,
    )


def _put_scalar(group: Any, name: str, column: NDArray[Any]) -> Any:
    # Low level, because create_dataset() makes every dataset without chunks contiguous.
    compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    compact.set_layout(h5py.h5d.COMPACT)
    kind = h5py.h5t.py_create(column.dtype, logical=True)
    dataset = h5py.Dataset(
        h5py.h5d.create(group.id, None, kind, h5py.h5s.create(h5py.h5s.SCALAR), dcpl=compact)
    )
    dataset[()] = column
    group[name] = dataset
    return dataset


def chunk_shape(shape: tuple[int, ...], itemsize: int, limit: int = CHUNK_BYTES) -> tuple[int, ...]:
    """Chunk of at most ``limit`` bytes: whole rows while one fits, then parts of them."""
    chunk = [max(n, 1) for n in shape]
    for axis in range(len(chunk)):
        others = itemsize * int(np.prod(chunk[:axis] + chunk[axis + 1 :], dtype=np.int64))
        chunk[axis] = max(1, min(chunk[axis], limit // max(others, 1)))
    return tuple(chunk)


def fits_compact(column: NDArray[Any]) -> bool:
    """Whether a 0-d column is small enough to stand in its object header."""
    return bool(column.shape) or column.nbytes <= ATTRIBUTE_LIMIT


def read_array(dataset: Any) -> Any:
    """What :func:`put_array` stored: an array, or a scalar (``str`` for text) of a 0-d dataset.

    Text comes back with dtype ``U``, variable-length text of other writers too. Reads everything:
    check the declared size first where the file is not trusted.
    """
    raw = read_whole(dataset)
    tag = h5py.check_string_dtype(dataset.dtype)
    if tag is None or (tag.encoding == "ascii" and tag.length is not None):
        return raw
    if isinstance(raw, bytes):
        return raw.decode("utf-8")
    texts = np.empty(raw.shape, object)
    for place, text in np.ndenumerate(raw):
        texts[place] = text.decode("utf-8")
    return texts.astype("U") if texts.size else np.empty(texts.shape, "U1")
