"""Documents and trees of values in HDF5 groups, and back.

Writing validates a whole tree before the first byte of it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from recorder.admission import admit_name
from recorder.errors import InputError, InvalidNameError, StreamTypeError
from recorder.format.document import dumps, loads
from recorder.format.layout import ATTRIBUTE_LIMIT, DOCUMENT, ENCODING, EVENTS_JSON, WEIGHTS_CSR
from recorder.format.sparse import Csr, from_csr, is_sparse, to_csr
from recorder.h5.columns import as_column, fits_compact, is_text, put_array, read_array
from recorder.h5.keywords import GZIP
from recorder.h5.reading.rows import read_whole

OWN_ATTRIBUTES = frozenset({"timestamp", "episode_count", "shape", "given", ENCODING})
"""Attributes that groups of trees have from us: a user's document of such a name is a dataset."""


def put_document(group: Any, name: str, value: Any) -> None:
    """Store ``value`` as the document ``name`` of ``group``; what stood there is replaced.

    Raises
    ------
    InputError
        ``value`` holds what a document cannot; nothing was changed.
    """
    put_encoded(group, name, dumps(value, name))


def put_encoded(
    group: Any, name: str, data: bytes, *, dataset: bool = False, filters: dict[str, Any] = GZIP
) -> None:
    """Store document bytes as :func:`put_document` does, or as a dataset in any case."""
    if name in group.attrs and not dataset:
        del group.attrs[name]
    if name in group and isinstance(group[name], h5py.Dataset):
        del group[name]
    if len(data) <= ATTRIBUTE_LIMIT and not dataset:
        group.attrs[name] = np.bytes_(data)
    else:
        # The mark tells a reader of a tree this from an array of uint8 that a user stored.
        put_array(group, name, np.frombuffer(data, np.uint8), filters).attrs[ENCODING] = EVENTS_JSON


def get_document(group: Any, name: str, default: Any = None) -> Any:
    """The document ``name`` of ``group``, or ``default`` where there is none.

    Raises
    ------
    DamagedError
    """
    if name in group.attrs:
        data = group.attrs[name]
        return loads(data.encode() if isinstance(data, str) else bytes(data))
    if isinstance(group, h5py.Group) and name in group and isinstance(group[name], h5py.Dataset):
        return loads(read_whole(group[name]).tobytes())
    return default


def put_values(group: Any, mapping: Mapping[str, Any]) -> None:
    """Store a mapping as the document ``json``, its plain entries as attributes for the eye too.

    Every earlier attribute of ``group`` is removed.

    Raises
    ------
    InputError
        No mapping, or a value that a document cannot hold; nothing was changed.
    """
    where = group.name.strip("/")
    if not isinstance(mapping, Mapping):
        raise InputError(where, "a dict", type(mapping).__name__)
    data = dumps(dict(mapping), where)
    for name in list(group.attrs):
        del group.attrs[name]
    put_encoded(group, DOCUMENT, data)
    for key, value in mapping.items():
        if isinstance(key, str) and key != DOCUMENT and mirrors(key) and mirrors(value):
            # As a plain str: h5py has no conversion for NumPy's.
            group.attrs[key] = str.__str__(value) if isinstance(value, str) else value


def mirrors(value: Any) -> bool:
    """Whether a plain attribute can show this value or name."""
    if isinstance(value, str):
        try:
            return value != "" and "\0" not in value and len(value.encode()) <= ATTRIBUTE_LIMIT
        except UnicodeEncodeError:
            return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, float) or (isinstance(value, np.generic) and value.dtype.kind in "biu")


def put_tree(group: Any, mapping: Mapping[str, Any], filters: dict[str, Any] = GZIP) -> None:
    """Store a mapping in ``group``: one dataset a value, one group a nested mapping.

    Arrays, scalars, text, and lists of numbers or text of one type become datasets
    (:func:`recorder.h5.columns.put_array`), SciPy's sparse matrices groups of CSR columns, and
    everything else a document. A nested mapping with a key that is no HDF5 name is a document, too.

    Raises
    ------
    InputError
        A value without a place, or (InvalidNameError) a key of the outermost mapping that is no
        name; nothing was written.
    """
    write_plan(group, plan_tree(mapping, group.name.strip("/")), filters)


def plan_tree(mapping: Any, where: str) -> dict[str, Any]:
    """Everything that :func:`put_tree` checks and converts, so that writing cannot fail on values.

    Raises
    ------
    InputError
    """
    if not isinstance(mapping, Mapping):
        raise InputError(where, "a dict", type(mapping).__name__)
    return {admit_name(where, key): _plan(value, f"{where}/{key}") for key, value in mapping.items()}


def _plan(value: Any, where: str) -> Any:
    # First, because SciPy's dok matrices are mappings too.
    if is_sparse(value):
        return to_csr(value, where)
    if isinstance(value, Mapping):
        try:
            return plan_tree(value, where)
        except InvalidNameError:
            return dumps(value, where)
    if value is not None and (not isinstance(value, list | tuple | set | frozenset) or _is_column(value)):
        try:
            column = as_column(where, value)
        except StreamTypeError:
            return dumps(value, where)
        if fits_compact(column):
            return column
    return dumps(value, where)


def _is_column(value: Any) -> bool:
    if not isinstance(value, list) or is_text(value):
        return isinstance(value, list)
    try:
        leaves = np.asarray(value, dtype=object)
    except Exception:
        return False
    kinds = set(map(type, leaves.flat))
    return len(kinds) == 1 and kinds <= {bool, int, float, complex}


def write_plan(group: Any, plan: Mapping[str, Any], filters: dict[str, Any] = GZIP) -> None:
    """Write what :func:`plan_tree` returned into ``group``."""
    for name, value in plan.items():
        if isinstance(value, bytes):
            put_encoded(group, name, value, dataset=name in OWN_ATTRIBUTES, filters=filters)
        elif isinstance(value, Csr):
            put_csr(group.create_group(name), value, filters)
        elif isinstance(value, dict):
            write_plan(group.create_group(name), value, filters)
        else:
            put_array(group, name, value, filters)


def put_csr(group: Any, matrix: Csr, filters: dict[str, Any] = GZIP) -> None:
    """Write a matrix into an empty group: ``indptr``, ``indices``, ``data`` and the attributes."""
    group.attrs[ENCODING] = WEIGHTS_CSR
    group.attrs["shape"] = np.array(matrix.shape, np.int64)
    group.attrs["given"] = matrix.given
    for name in ("indptr", "indices", "data"):
        put_array(group, name, getattr(matrix, name), filters)


def get_csr(group: Any) -> Any:
    """What was given to :func:`put_csr`'s matrix: dense, or sparse in SciPy's class.

    Raises
    ------
    DamagedError
    """
    indptr, indices, data = (read_whole(group[name]) for name in ("indptr", "indices", "data"))
    return from_csr(indptr, indices, data, group.attrs["shape"], group.attrs.get("given", "dense"))


def read_tree(group: Any) -> dict[str, Any]:
    """The mapping that :func:`put_tree` stored, documents and matrices as they were given.

    Scalars come back as NumPy scalars, text as ``str``, lists of numbers as arrays. Ordinary
    attributes of the group are not part of the tree. Order: datasets and groups by name, then documents.

    Raises
    ------
    DamagedError
    """
    tree: dict[str, Any] = {}
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            tree[name] = get_csr(item) if item.attrs.get(ENCODING) == WEIGHTS_CSR else read_tree(item)
        elif item.attrs.get(ENCODING) == EVENTS_JSON:
            tree[name] = loads(read_whole(item).tobytes())
        else:
            tree[name] = read_array(item)
    for name, value in group.attrs.items():
        if isinstance(value, bytes):
            tree[name] = loads(value)
    return tree
