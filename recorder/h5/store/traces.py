"""Objects that are one array with a label: reservoir states, attention maps, plasticity, homeostasis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.storage import KINDS, TIMESTAMP
from recorder.h5 import make
from recorder.h5.store.arrays import Filters, admit, put, stored
from recorder.h5.store.attributes import put_shape
from recorder.h5.store.handle import Handle
from recorder.h5.store.objects import Plan, admit_label, admit_timestamp, exists, facts, label_of

Labelled = tuple[Any, float, str]
"""array, timestamp, label."""


def _shape(dataset: Any, array: NDArray[Any]) -> None:
    put_shape(dataset, array.shape)


def _synapses(dataset: Any, array: NDArray[Any]) -> None:
    make.attribute(dataset, "num_synapses", np.int64(array.size))
    with np.errstate(all="ignore"):
        some = array.size > 0 and array.dtype.kind in "biuf"
        make.attribute(dataset, "mean_change", np.float64(array.mean() if some else np.nan))
        make.attribute(dataset, "std_change", np.float64(array.std() if some else np.nan))


def _neurons(dataset: Any, array: NDArray[Any]) -> None:
    make.attribute(dataset, "num_neurons", np.int64(array.size))


_SUMMARIES: dict[str, tuple[str, Callable[[Any, NDArray[Any]], None]]] = {
    "reservoir": ("reservoir_states", _shape),
    "attention": ("attention_map", _shape),
    "plasticity": ("synapse_changes", _synapses),
    "homeostatic": ("homeostatic_changes", _neurons),
}
"""What messages call the array, and the attributes that describe it."""


def plan_labelled(kind: str, timestamp: Any, values: Any, label: Any) -> Plan:
    """An array with a label to be stored.

    Raises
    ------
    InputError
    """
    time = admit_timestamp(timestamp)
    where, summarise = _SUMMARIES[kind]
    array, text = admit(where, values), admit_label(kind, label, time)

    def write(handle: Handle, filters: Filters, name: str) -> None:
        dataset = put(handle.group(KINDS[kind].places[0]), name, array, filters)
        make.attribute(dataset, TIMESTAMP, np.float64(time))
        make.attribute(dataset, KINDS[kind].label, text)
        summarise(dataset, array)

    return Plan(kind, text, time, write)


def find_labelled(handle: Handle, kind: str, name: str) -> Callable[[], Labelled] | None:
    """Where such an array is; called, it reads it. None where there is none.

    Raises
    ------
    DamagedError
    """
    if not exists(handle, kind, name):
        return None
    place, found = KINDS[kind].places[0], facts(handle, kind, name)
    array = stored(handle, handle.group(place), name, f"/{place}/{name}")
    label = label_of(kind, name, found)
    return lambda: (array(), float(found[TIMESTAMP]), label)
