"""Network snapshots: topology, weights and neuron states in three groups, under one id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recorder.format.storage import KINDS, META, METADATA_DOCUMENT, TIMESTAMP
from recorder.h5 import make
from recorder.h5.store.arrays import Filters
from recorder.h5.store.attributes import (
    get_document,
    get_mirrors,
    plan_document,
    put_document,
    put_mirrors,
    put_shape,
)
from recorder.h5.store.handle import Handle
from recorder.h5.store.index import index_of
from recorder.h5.store.matrices import StoredMatrix, plan_matrix, put_matrix, shape_of
from recorder.h5.store.objects import Plan, admit_timestamp, below, exists, facts
from recorder.h5.store.sharing import Shared

KIND = "snapshot"
NAMES = ("adjacency", "weights", "states")
ARGUMENTS = ("adjacency_matrix", "weight_matrix", "neuron_states")

Snapshot = tuple[float, Any, Any, Any, dict[str, Any]]
"""timestamp, adjacency, weights, states, metadata."""


def plan_snapshot(timestamp: Any, adjacency: Any, weights: Any, states: Any, metadata: Any) -> Plan:
    """A snapshot to be stored.

    Raises
    ------
    InputError
    """
    time = admit_timestamp(timestamp)
    matrices = [
        plan_matrix(where, given)
        for where, given in zip(ARGUMENTS, (adjacency, weights, states), strict=True)
    ]
    document = None if metadata is None else plan_document("metadata", metadata)

    def write(handle: Handle, filters: Filters, name: str) -> None:
        shared = handle.kept(Shared, lambda: Shared(handle, _newest(handle)))
        for place, part, matrix in zip(KINDS[KIND].places, NAMES, matrices, strict=True):
            group = make.group(handle.group(place), name.encode())
            make.attribute(group, TIMESTAMP, np.float64(time))
            put_shape(group, shape_of(matrix))
            if document is not None and place == KINDS[KIND].places[0]:
                put_mirrors(group, META, document[0])
                put_document(group, METADATA_DOCUMENT, document[1])
            put_matrix(group, f"/{place}/{name}", part, matrix, filters, shared)

    return Plan(KIND, "", time, write)


def _newest(handle: Handle) -> str | None:
    index = index_of(handle, KIND)
    return index.newest() if index is not None else None


def find_snapshot(handle: Handle, name: str) -> Callable[[], Snapshot] | None:
    """Where a snapshot's bytes are; called, it reads them. None where there is no such snapshot.

    Raises
    ------
    DamagedError
    """
    if not exists(handle, KIND, name):
        return None
    found = facts(handle, KIND, name)
    metadata = metadata_of(found)
    parts = [
        StoredMatrix(handle, below(handle, place, name), part, f"/{place}/{name}/{part}")
        for place, part in zip(KINDS[KIND].places, NAMES, strict=True)
    ]

    def read() -> Snapshot:
        adjacency, weights, states = (part() for part in parts)
        return float(found[TIMESTAMP]), adjacency, weights, states, metadata

    return read


def metadata_of(found: dict[str, Any]) -> dict[str, Any]:
    """The metadata among an object's attributes; ``{}`` where none were given."""
    document = get_document(found, METADATA_DOCUMENT)
    return get_mirrors(found, META) if document is None else document
