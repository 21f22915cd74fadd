"""Every chunk of a dataset, decoded and measured.

Chunks are read and inflated here and not by HDF5: a stream that ends too early would leave
uninitialised memory behind HDF5's back, one that is too long could fill the machine, and a chunk that
lies where it always lay needs no lookup in an index that a writer is changing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import h5py

from recorder.errors import DamagedError, FlightrecError
from recorder.format.layout import COUNTER
from recorder.h5.pipeline import Pipeline
from recorder.h5.reading.budget import check_chunk
from recorder.h5.reading.chunks import KeptChunks
from recorder.h5.reading.guard import BROKEN
from recorder.h5.reading.rows import read_rows
from recorder.h5.verify.finding import Finding, Tally

SLICE_BYTES = 1 << 24
_SPANS = 5
_ERRORS: tuple[type[Exception], ...] = (*BROKEN, FlightrecError)
Step = tuple[int, Finding | None]
"""Stored bytes that were just checked, and what was wrong with them."""


@dataclass(slots=True)
class Job:
    """What is to be read of one dataset, as its bookkeeping said in one moment."""

    dataset: h5py.Dataset
    name: str
    shape: tuple[int, ...] = ()
    chunk: tuple[int, ...] = ()
    pipeline: Pipeline | None = None
    """None when HDF5 must decode."""
    chunks: list[Any] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    missing: int = 0
    bad: list[Any] = field(default_factory=list)
    """Chunks that cannot be read."""
    sound: bool = True


def plan(dataset: h5py.Dataset, name: str, facts: dict[str, Any], counters: Any, *, complete: bool) -> Job:
    """Look up where a dataset's chunks are.

    Parameters
    ----------
    facts : dict
        Its attributes.
    counters : array or None
        Committed rows of a running episode's datasets; chunks past them may still be on their way.
    complete : bool
        A chunk that was never written is a fault, as it is in a recording; HDF5 itself allows it and
        reads fill values there.
    """
    job = Job(dataset, name, dataset.shape or (), dataset.chunks or ())
    if not job.chunk:
        return job
    counter = facts.get(COUNTER)
    if counters is not None and counter is not None:
        # a counter that is not there yet stands at zero: its dataset is younger than the last commit
        rows = int(counters[counter]) if 0 <= counter < len(counters) else 0
        if rows > job.shape[0]:
            job.faults.append(f"{rows} rows are committed, it has {job.shape[0]}")
        job.shape = (min(rows, job.shape[0]), *job.shape[1:])
    try:
        check_chunk(dataset)
        job.pipeline = Pipeline.of(dataset)
    except DamagedError as error:
        job.faults.append(str(error).removeprefix(f"{name}: "))
        return job
    stored: list[Any] = []
    dataset.id.chunk_iter(stored.append)
    shape = job.shape
    job.chunks = [
        info for info in stored if all(o < n for o, n in zip(info.chunk_offset, shape, strict=True))
    ]
    declared = math.prod(math.ceil(n / c) for n, c in zip(shape, job.chunk, strict=True))
    if complete and len(job.chunks) < declared:
        job.missing = declared - len(job.chunks)
        job.faults.append(f"{job.missing:,} of {declared:,} chunks are missing")
    return job


def check_job(job: Job, raw: BinaryIO, tally: Tally, kept: KeptChunks) -> Iterator[Step]:
    """Decode all that was planned.

    Parameters
    ----------
    raw : file
        The same file, for the bytes of its chunks.
    tally : Tally
        Counts what was read.
    kept : KeptChunks
        Gets what was decoded, for the checks that follow.
    """
    yield from ((0, Finding(job.name, fault)) for fault in job.faults)
    job.sound = not job.faults
    dataset = job.dataset
    tally.datasets += 1
    if dataset.shape is not None and dataset.dtype.itemsize:
        yield from _chunked(job, raw, tally, kept) if job.chunk else _contiguous(job, tally)
    tally.bad_datasets += not job.sound
    tally.chunks += job.missing
    tally.bad_chunks += job.missing


def _chunked(job: Job, raw: BinaryIO, tally: Tally, kept: KeptChunks) -> Iterator[Step]:
    for info in job.chunks:
        ours = job.pipeline is not None and not job.dataset.dtype.hasobject
        fault = _fault(job, info, raw, kept) if ours else _hdf5_fault(job, info)
        tally.chunks += 1
        tally.nbytes += info.size
        if job.pipeline is None or not job.pipeline.checks(info.filter_mask):
            tally.unchecked_nbytes += info.size
        if not fault:
            yield info.size, None
            continue
        tally.bad_chunks += 1
        tally.bad_nbytes += info.size
        job.bad.append(info)
        yield info.size, Finding(job.name, f"chunk at {list(map(int, info.chunk_offset))} {fault}")
    if job.bad or (job.missing and job.chunks):
        job.sound = False
        yield 0, Finding(job.name, f"of its {job.shape[0]:,} rows, {_readable(job)} can be read")


def _fault(job: Job, info: Any, raw: BinaryIO, kept: KeptChunks) -> str:
    raw.seek(info.byte_offset)
    data = raw.read(info.size)
    if len(data) < info.size:
        return f"reaches behind the end of the file: {len(data):,} of {info.size:,} bytes are there"
    assert job.pipeline is not None
    try:
        decoded = job.pipeline.decode(data, info.filter_mask)
    except DamagedError as error:
        return str(error)
    if len(job.shape) == 1 or not any(info.chunk_offset[1:]):
        kept.put(job.name, int(info.chunk_offset[0]), decoded)
    return ""


def _hdf5_fault(job: Job, info: Any) -> str:
    start = int(info.chunk_offset[0])
    try:
        if job.dataset.dtype.hasobject:
            read_rows(job.dataset, start, min(start + job.chunk[0], job.shape[0]))
        else:
            job.dataset[tuple(slice(o, o + c) for o, c in zip(info.chunk_offset, job.chunk, strict=True))]
    except _ERRORS as error:
        return f"cannot be decoded: {' '.join(str(error).split())}"
    return ""


def _readable(job: Job) -> str:
    """Rows whose chunks are all there and sound."""
    height, rows = job.chunk[0], job.shape[0]
    whole = math.prod(math.ceil(n / c) for n, c in zip(job.shape[1:], job.chunk[1:], strict=True))
    bad = {int(info.chunk_offset[0]) // height for info in job.bad}
    good: dict[int, int] = {}
    for info in job.chunks:
        line = int(info.chunk_offset[0]) // height
        good[line] = good.get(line, 0) + (line not in bad)
    spans: list[list[int]] = []
    for line in sorted(line for line, count in good.items() if count == whole):
        start, stop = line * height, min((line + 1) * height, rows)
        if spans and spans[-1][1] == start:
            spans[-1][1] = stop
        else:
            spans.append([start, stop])
    shown = [f"{start:,} to {stop - 1:,}" for start, stop in spans[:_SPANS]]
    more = sum(stop - start for start, stop in spans[_SPANS:])
    return " and ".join(shown) + (f" and {more:,} more" if more else "") if spans else "none"


def _contiguous(job: Job, tally: Tally) -> Iterator[Step]:
    dataset = job.dataset
    size = dataset.id.get_storage_size()
    tally.chunks += 1
    if dataset.size and not size:
        job.sound = False
        tally.bad_chunks += 1
        yield 0, Finding(job.name, "has a shape but no data")
        return
    if not dataset.size:
        return
    tally.nbytes += size
    if dataset.id.get_offset() is not None:  # else it stands in its header, whose checksum HDF5 checks
        tally.unchecked_nbytes += size
    rows = dataset.shape[0] if dataset.shape else 1
    per_row = max(1, size // rows)
    step = max(1, SLICE_BYTES // per_row)
    for start in range(0, rows, step):
        try:
            if dataset.shape and dataset.dtype.hasobject:
                read_rows(dataset, start, min(start + step, rows))
            else:
                dataset[start : start + step] if dataset.shape else dataset[()]
        except _ERRORS as error:
            job.sound = False
            tally.bad_chunks += 1
            tally.bad_nbytes += size
            yield size, Finding(job.name, f"cannot be read: {' '.join(str(error).split())}")
            return
        yield min(step, rows - start) * per_row, None
