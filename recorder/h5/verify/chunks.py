"""Every chunk of a dataset, decoded and measured.

Deflate chunks are inflated here and not by HDF5: a stream that ends too early would leave
uninitialised memory behind HDF5's back, and one that is too long could fill the machine.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import h5py

from recorder.h5.verify.finding import Finding

MAX_CHUNK_BYTES = 1 << 30
SLICE_BYTES = 1 << 24
Step = tuple[int, Finding | None]
"""Stored bytes that were just checked, and what was wrong with them."""


def check_dataset(dataset: h5py.Dataset, rows: int | None, *, complete: bool) -> Iterator[Step]:
    """Decode all of a dataset, or its first ``rows`` rows.

    ``complete``: a chunk that was never written is a fault, as it is in a recording; HDF5 itself
    allows it and reads fill values there.
    """
    if dataset.shape is None or dataset.dtype.itemsize == 0:
        return
    if dataset.chunks is None:
        yield from _contiguous(dataset)
        return
    shape = dataset.shape
    if rows is not None:
        if rows > shape[0]:
            yield 0, Finding(dataset.name, f"{rows} rows are committed, it has {shape[0]}")
        shape = (min(rows, shape[0]), *shape[1:])
    nbytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if nbytes > MAX_CHUNK_BYTES:
        yield 0, Finding(dataset.name, f"its chunks claim {nbytes:,} bytes each; they were not read")
        return

    stored: list[Any] = []
    dataset.id.chunk_iter(stored.append)
    inside = [info for info in stored if all(o < n for o, n in zip(info.chunk_offset, shape, strict=True))]
    declared = math.prod(math.ceil(n / c) for n, c in zip(shape, dataset.chunks, strict=True))
    if complete and len(inside) < declared:
        yield 0, Finding(dataset.name, f"{declared - len(inside):,} of {declared:,} chunks are missing")
    own = _deflate_bit(dataset)
    for info in inside:
        fault = _hdf5_fault(dataset, info.chunk_offset) if own is None else _fault(dataset, info, own, nbytes)
        where = f"chunk at {list(map(int, info.chunk_offset))}"
        yield info.size, Finding(dataset.name, f"{where} {fault}") if fault else None


def _deflate_bit(dataset: h5py.Dataset) -> int | None:
    """The deflate filter's bit in a chunk's mask, 0 without any filter, None when HDF5 must decode."""
    plist = dataset.id.get_create_plist()
    codes = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
    if any(code not in (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE) for code in codes):
        return None
    if h5py.check_dtype(vlen=dataset.dtype) or dataset.dtype.kind == "O":
        return None
    return 1 << codes.index(h5py.h5z.FILTER_DEFLATE) if h5py.h5z.FILTER_DEFLATE in codes else 0


def _fault(dataset: h5py.Dataset, info: Any, deflate: int, nbytes: int) -> str:
    try:
        mask, raw = dataset.id.read_direct_chunk(info.chunk_offset)
    except (OSError, RuntimeError) as error:
        return f"cannot be read: {' '.join(str(error).split())}"
    if not deflate or mask & deflate:
        return "" if len(raw) == nbytes else f"has {len(raw):,} bytes instead of {nbytes:,}"
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(raw, nbytes + 1)
    except zlib.error as error:
        return f"does not inflate: {error}"
    if len(out) > nbytes:
        return f"inflates to more than {nbytes:,} bytes"
    if not inflater.eof or len(out) < nbytes:
        return f"holds {len(out):,} of {nbytes:,} bytes"
    return ""


def _hdf5_fault(dataset: h5py.Dataset, offset: tuple[int, ...]) -> str:
    place = tuple(slice(o, o + c) for o, c in zip(offset, dataset.chunks, strict=True))
    try:
        dataset[place]
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return f"cannot be decoded: {' '.join(str(error).split())}"
    return ""


def _contiguous(dataset: h5py.Dataset) -> Iterator[Step]:
    size = dataset.id.get_storage_size()
    if dataset.size and not size:
        yield 0, Finding(dataset.name, "has a shape but no data")
        return
    if not dataset.size:
        return
    rows = dataset.shape[0] if dataset.shape else 1
    per_row = max(1, size // rows)
    step = max(1, SLICE_BYTES // per_row)
    for start in range(0, rows, step):
        fault = None
        try:
            dataset[start : start + step] if dataset.shape else dataset[()]
        except (OSError, RuntimeError, ValueError) as error:
            fault = Finding(dataset.name, f"cannot be read: {' '.join(str(error).split())}")
        yield min(step, rows - start) * per_row, fault
        if fault:
            return
