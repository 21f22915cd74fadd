"""Checkpoints: a tree of values, and documents that go with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np

from recorder.errors import InputError
from recorder.format.document import dumps, loads
from recorder.format.storage import KINDS, META, METADATA_DOCUMENT, TIMESTAMP
from recorder.h5 import make
from recorder.h5.reading.guard import check_tree, child_group, damage
from recorder.h5.store.arrays import Filters, put, stored
from recorder.h5.store.attributes import get_document, plan_document, put_document, put_mirrors
from recorder.h5.store.handle import Handle
from recorder.h5.store.objects import Plan, admit_timestamp, below, exists, facts
from recorder.h5.tree import plan_tree, read_tree, write_plan

KIND, STATE, RANDOM = "checkpoint", "state", "random"

Checkpoint = tuple[float, dict[str, Any], dict[str, Any], dict[str, Any]]
"""timestamp, state, states of random generators, metadata."""


def plan_checkpoint(timestamp: Any, state: Any, random: Mapping[str, Any], metadata: Any) -> Plan:
    """A checkpoint to be stored.

    Raises
    ------
    InputError
    """
    time = admit_timestamp(timestamp)
    if not isinstance(state, Mapping):
        raise InputError(STATE, "a dict", type(state).__name__)
    tree, generators = plan_tree(state, STATE), np.frombuffer(dumps(dict(random), RANDOM), np.uint8)
    document = plan_document("metadata", metadata if metadata is not None else {})

    def write(handle: Handle, filters: Filters, name: str) -> None:
        group = make.group(handle.group(KINDS[KIND].places[0]), name.encode())
        make.attribute(group, TIMESTAMP, np.float64(time))
        put_mirrors(group, META, document[0])
        put_document(group, METADATA_DOCUMENT, document[1])
        keywords = filters.keywords
        write_plan(h5py.Group(make.group(group, STATE.encode())), tree, keywords)
        put(group, RANDOM, generators, filters)

    return Plan(KIND, "", time, write)


def find_checkpoint(handle: Handle, name: str) -> Callable[[], Checkpoint] | None:
    """A checkpoint, when it is called; None where there is none.

    Raises
    ------
    DamagedError
    """
    if not exists(handle, KIND, name):
        return None
    place = KINDS[KIND].places[0]
    found, group = facts(handle, KIND, name), h5py.Group(below(handle, place, name))
    where = f"/{place}/{name}"
    with damage(where):
        part = child_group(group, STATE)
        state = {} if part is None else read_tree(check_tree(part))
    random = stored(handle, group.id, RANDOM, f"{where}/{RANDOM}")
    metadata = get_document(found, METADATA_DOCUMENT) or {}
    return lambda: (float(found[TIMESTAMP]), state, loads(random().tobytes()), metadata)
