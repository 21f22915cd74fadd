"""What a file may claim: bytes that it could hold, chunks and types that a recorder would write."""

from __future__ import annotations

import math
from typing import Any

import h5py

from recorder.errors import DamagedError
from recorder.h5.pipeline import Pipeline

CREDIBLE_RATIO = 64
"""A claim of more than this many times the file's size must at least fit the memory at hand."""
BUDGET = 256 << 20
"""Bytes that may be allocated on the word of a small file."""
_MAX_TYPE_DEPTH = 4
_MAX_MEMBERS = 1024
_PLAIN_TYPES = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.BITFIELD, h5py.h5t.OPAQUE)


def check_size(dataset: Any, nbytes: int) -> None:
    """Refuse to allocate what the file cannot plausibly hold.

    Raises
    ------
    DamagedError
        ``nbytes`` is more than ``CREDIBLE_RATIO`` times the file, and more than its stored bytes can
        inflate to or than the free memory.
    """
    if nbytes <= CREDIBLE_RATIO << 20 or nbytes <= CREDIBLE_RATIO * file_size(dataset):
        return
    check_memory(nbytes, f"{dataset.name}: claims {nbytes:,} bytes, far more than its file could hold")
    pipeline = Pipeline.of(dataset) if dataset.chunks else None
    most = 1 if not dataset.chunks else math.inf if pipeline is None else pipeline.most
    if nbytes > most * dataset.id.get_storage_size() + BUDGET:
        raise DamagedError(
            f"{dataset.name}: claims {nbytes:,} bytes, of which {dataset.id.get_storage_size():,} are stored"
        )


def check_chunk(dataset: Any) -> None:
    """Refuse chunks that nobody wrote on purpose: all of one is decoded to see a value.

    Raises
    ------
    DamagedError
    """
    nbytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if nbytes > BUDGET and nbytes > CREDIBLE_RATIO * file_size(dataset):
        raise DamagedError(f"{dataset.name}: its chunks claim {nbytes:,} bytes each")


def check_memory(nbytes: int, what: str) -> None:
    """Refuse what does not fit the memory at hand.

    Raises
    ------
    DamagedError
    """
    import psutil

    available = psutil.virtual_memory().available
    if nbytes > available:
        raise DamagedError(f"{what} and than the {available:,} bytes of memory at hand")


def check_type(kind: Any, where: str, depth: int = 0) -> bool:
    """Whether values of an HDF5 type have no fixed length.

    Raises
    ------
    DamagedError
        A type that no recording holds: references, sequences within others, compounds without end.
    """
    code = kind.get_class()
    if code in _PLAIN_TYPES:
        return False
    if code == h5py.h5t.STRING:
        variable = bool(kind.is_variable_str())
    elif code == h5py.h5t.VLEN:
        variable = True
        check_type(kind.get_super(), where, depth + 1)
    elif code == h5py.h5t.ENUM:
        variable = kind.get_nmembers() > _MAX_MEMBERS
    elif code == h5py.h5t.ARRAY and depth < _MAX_TYPE_DEPTH:
        variable = False
        check_type(kind.get_super(), where, depth + 1)
    elif code == h5py.h5t.COMPOUND and depth < _MAX_TYPE_DEPTH and kind.get_nmembers() <= _MAX_MEMBERS:
        variable = False
        for index in range(kind.get_nmembers()):
            check_type(kind.get_member_type(index), where, depth + 1)
    else:
        variable, depth = True, depth + 1
    if variable and depth:
        raise DamagedError(f"{where}: values of a type that no recording holds (HDF5's class {code})")
    return variable


def file_size(item: Any) -> int:
    """Bytes of the file in which an object stands, at least 1."""
    return max(int(item.file.id.get_filesize()), 1)
