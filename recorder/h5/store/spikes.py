"""Spike trains: times and neurons of equal length, and trains that somebody has compressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recorder.admission import describe
from recorder.errors import StreamShapeError
from recorder.format.storage import (
    KINDS,
    META,
    METADATA_DOCUMENT,
    PARAM,
    PARAMETERS,
    TIMESTAMP,
)
from recorder.h5 import make
from recorder.h5.store.arrays import Filters, admit, put, stored
from recorder.h5.store.attributes import (
    get_document,
    get_mirrors,
    plan_document,
    put_document,
    put_mirrors,
    put_shape,
)
from recorder.h5.store.handle import Handle
from recorder.h5.store.objects import Plan, admit_timestamp, below, exists, facts
from recorder.h5.store.snapshots import metadata_of

TRAIN, COMPRESSED = "spike_train", "compressed"
TIMES, NEURONS, AMPLITUDES = "spike_times", "neuron_ids", "spike_amplitudes"
ORIGINAL_SHAPE, RATIO = "original_shape", "compression_ratio"

Train = tuple[float, Any, Any, Any, dict[str, Any]]
"""timestamp, times, neurons, amplitudes or None, metadata."""


def plan_train(timestamp: Any, times: Any, neurons: Any, amplitudes: Any, metadata: Any) -> Plan:
    """A spike train to be stored.

    Raises
    ------
    InputError
        Among others: not as many neurons or amplitudes as spikes.
    """
    time = admit_timestamp(timestamp)
    columns = {TIMES: admit(TIMES, times), NEURONS: admit(NEURONS, neurons)}
    if amplitudes is not None:
        columns[AMPLITUDES] = admit(AMPLITUDES, amplitudes)
    shape = columns[TIMES].shape
    for where, column in columns.items():
        if column.shape != shape:
            raise StreamShapeError(where, f"shape {shape}, as {TIMES}", describe(column))
    document = None if metadata is None else plan_document("metadata", metadata)

    def write(handle: Handle, filters: Filters, name: str) -> None:
        group = make.group(handle.group(KINDS[TRAIN].places[0]), name.encode())
        make.attribute(group, TIMESTAMP, np.float64(time))
        make.attribute(group, "num_spikes", np.int64(columns[TIMES].size))
        make.attribute(group, "num_neurons", np.int64(len(np.unique(columns[NEURONS]))))
        if document is not None:
            put_mirrors(group, META, document[0])
            put_document(group, METADATA_DOCUMENT, document[1])
        for where, column in columns.items():
            put(group, where, column, filters)

    return Plan(TRAIN, "", time, write)


def find_train(handle: Handle, name: str) -> Callable[[], Train] | None:
    """Where a train's bytes are; called, it reads them. None where there is no such train.

    Raises
    ------
    DamagedError
    """
    if not exists(handle, TRAIN, name):
        return None
    place = KINDS[TRAIN].places[0]
    found, group = facts(handle, TRAIN, name), below(handle, place, name)
    given = [TIMES, NEURONS] + ([AMPLITUDES] if group.links.exists(AMPLITUDES.encode()) else [])
    columns = [stored(handle, group, where, f"/{place}/{name}/{where}") for where in given]
    metadata = metadata_of(found)

    def read() -> Train:
        times, neurons, *rest = (column() for column in columns)
        return float(found[TIMESTAMP]), times, neurons, rest[0] if rest else None, metadata

    return read


def plan_compressed(timestamp: Any, data: Any, parameters: Any) -> Plan:
    """A compressed train to be stored, with whatever it takes to undo that.

    Raises
    ------
    InputError
    """
    time = admit_timestamp(timestamp)
    array = admit("spike_data", data)
    plain, document = plan_document("compression_params", parameters)
    shape, ratio = plain.get(ORIGINAL_SHAPE), _as_ratio(plain.get(RATIO, 1.0))

    def write(handle: Handle, filters: Filters, name: str) -> None:
        dataset = put(handle.group(KINDS[COMPRESSED].places[0]), name, array, filters)
        make.attribute(dataset, TIMESTAMP, np.float64(time))
        put_shape(dataset, _as_shape(shape, array.shape), ORIGINAL_SHAPE)
        if ratio is not None:
            make.attribute(dataset, RATIO, ratio)
        put_mirrors(dataset, PARAM, plain)
        put_document(dataset, PARAMETERS, document)

    return Plan(COMPRESSED, "", time, write)


def _as_ratio(given: Any) -> np.float64 | None:
    """As :func:`_as_shape`; None where no float64 is it."""
    try:
        return np.float64(given) if isinstance(given, int | float | np.floating) else None
    except OverflowError:
        return None


def _as_shape(given: Any, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    """The attribute is for the eye; what was given stands in the document."""
    whole = isinstance(given, list | tuple) and all(isinstance(n, int | np.integer) for n in given)
    return tuple(int(n) for n in given) if whole and all(abs(n) < 2**63 for n in given) else otherwise


def find_compressed(handle: Handle, name: str) -> Callable[[], tuple[Any, float, dict[str, Any]]] | None:
    """Where a compressed train is; called, it returns data, timestamp and parameters. None: there is none.

    Raises
    ------
    DamagedError
    """
    if not exists(handle, COMPRESSED, name):
        return None
    place = KINDS[COMPRESSED].places[0]
    found = facts(handle, COMPRESSED, name)
    data = stored(handle, handle.group(place), name, f"/{place}/{name}")
    parameters = get_document(found, PARAMETERS)
    if parameters is None:
        # Older files keep plain parameters only, and say twice what they say of the ratio.
        parameters = get_mirrors(found, PARAM)
        if ORIGINAL_SHAPE in found:
            parameters[ORIGINAL_SHAPE] = np.asarray(found[ORIGINAL_SHAPE]).tolist()
        parameters.setdefault(RATIO, found.get(RATIO, 1.0))
    return lambda: (data(), float(found[TIMESTAMP]), parameters)
