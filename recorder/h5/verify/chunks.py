"""Every chunk of a dataset, decoded and measured.

Deflate chunks are read and inflated here and not by HDF5: a stream that ends too early would leave
uninitialised memory behind HDF5's back, one that is too long could fill the machine, and a chunk that
lies where it always lay needs no lookup in an index that a writer is changing.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import h5py

from recorder.format.layout import COUNTER
from recorder.h5.verify.finding import Finding

MAX_CHUNK_BYTES = 1 << 30
SLICE_BYTES = 1 << 24
Step = tuple[int, Finding | None]
"""Stored bytes that were just checked, and what was wrong with them."""


@dataclass(slots=True)
class Job:
    """What is to be read of one dataset, as its bookkeeping said in one moment."""

    dataset: h5py.Dataset
    name: str
    chunk_bytes: int = 0
    deflate: int | None = None
    """The deflate filter's bit in a chunk's mask, 0 without any filter, None when HDF5 must decode."""
    chunks: list[Any] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def plan(dataset: h5py.Dataset, counters: Any, *, complete: bool) -> Job:
    """Look up where a dataset's chunks are.

    Parameters
    ----------
    counters : array or None
        Committed rows of a running episode's datasets; chunks past them may still be on their way.
    complete : bool
        A chunk that was never written is a fault, as it is in a recording; HDF5 itself allows it and
        reads fill values there.
    """
    job = Job(dataset, dataset.name)
    if not dataset.chunks:
        return job
    shape = dataset.shape
    counter = dataset.attrs.get(COUNTER)
    if counters is not None and counter is not None:
        # a counter that is not there yet stands at zero: its dataset is younger than the last commit
        rows = int(counters[counter]) if 0 <= counter < len(counters) else 0
        if rows > shape[0]:
            job.faults.append(f"{rows} rows are committed, it has {shape[0]}")
        shape = (min(rows, shape[0]), *shape[1:])
    job.chunk_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    if job.chunk_bytes > MAX_CHUNK_BYTES:
        job.faults.append(f"its chunks claim {job.chunk_bytes:,} bytes each; they were not read")
        return job
    stored: list[Any] = []
    dataset.id.chunk_iter(stored.append)
    job.chunks = [
        info for info in stored if all(o < n for o, n in zip(info.chunk_offset, shape, strict=True))
    ]
    declared = math.prod(math.ceil(n / c) for n, c in zip(shape, dataset.chunks, strict=True))
    if complete and len(job.chunks) < declared:
        job.faults.append(f"{declared - len(job.chunks):,} of {declared:,} chunks are missing")
    job.deflate = _deflate_bit(dataset)
    return job


def check_job(job: Job, raw: BinaryIO) -> Iterator[Step]:
    """Decode all that was planned; ``raw`` is the same file, for the bytes of its chunks."""
    yield from ((0, Finding(job.name, fault)) for fault in job.faults)
    dataset = job.dataset
    if dataset.shape is None or dataset.dtype.itemsize == 0:
        return
    if dataset.chunks is None:
        yield from _contiguous(dataset)
        return
    for info in job.chunks:
        fault = _hdf5_fault(dataset, info.chunk_offset) if job.deflate is None else _fault(job, info, raw)
        where = f"chunk at {list(map(int, info.chunk_offset))}"
        yield info.size, Finding(job.name, f"{where} {fault}") if fault else None


def _deflate_bit(dataset: h5py.Dataset) -> int | None:
    plist = dataset.id.get_create_plist()
    codes = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
    if any(code not in (h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE) for code in codes):
        return None
    if dataset.dtype.kind == "O":
        return None
    return 1 << codes.index(h5py.h5z.FILTER_DEFLATE) if h5py.h5z.FILTER_DEFLATE in codes else 0


def _fault(job: Job, info: Any, raw: BinaryIO) -> str:
    raw.seek(info.byte_offset)
    data = raw.read(info.size)
    if len(data) < info.size:
        return f"reaches behind the end of the file: {len(data):,} of {info.size:,} bytes are there"
    nbytes = job.chunk_bytes
    if not job.deflate or info.filter_mask & job.deflate:
        return "" if len(data) == nbytes else f"has {len(data):,} bytes instead of {nbytes:,}"
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, nbytes + 1)
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
