"""Objects that are several named values: layer outputs, and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np

from recorder.admission import admit_name, admit_real
from recorder.errors import DamagedError, InputError
from recorder.format.document import dumps
from recorder.format.storage import KINDS, TIMESTAMP
from recorder.h5 import make
from recorder.h5.reading.guard import links
from recorder.h5.store.arrays import Filters, admit, put, stored
from recorder.h5.store.attributes import get_document, put_document, put_texts
from recorder.h5.store.handle import Handle
from recorder.h5.store.objects import Plan, admit_label, admit_timestamp, below, exists, facts, label_of

LAYERS, METRICS = "layer_outputs", "performance"
ORDER, VALUES, METRIC_NAMES = "layers", "values", "metric_names"
_IN_ATTRIBUTE = 1000
"""Names of metrics that an attribute shows; the document beside it has any number."""


def plan_layers(timestamp: Any, outputs: Any) -> Plan:
    """Outputs of layers, arrays by name, to be stored.

    Raises
    ------
    InputError
    """
    time = admit_timestamp(timestamp)
    if not isinstance(outputs, Mapping):
        raise InputError(LAYERS, "a dict of arrays", type(outputs).__name__)
    arrays = {_admit_layer(name): admit(f"{LAYERS}/{name}", value) for name, value in outputs.items()}
    places = {layer: _place_of(layer) for layer in arrays}
    if len(set(places.values())) < len(places):
        raise InputError(LAYERS, "names that differ once / is written as %2F", repr(list(arrays))[:80])
    order = dumps(list(arrays), LAYERS)

    def write(handle: Handle, filters: Filters, name: str) -> None:
        group = make.group(handle.group(KINDS[LAYERS].places[0]), name.encode())
        make.attribute(group, TIMESTAMP, np.float64(time))
        make.attribute(group, "num_layers", np.int64(len(arrays)))
        put_document(group, ORDER, order)
        for layer, array in arrays.items():
            put(group, places[layer], array, filters)

    return Plan(LAYERS, "", time, write)


def _admit_layer(name: Any) -> str:
    admit_name(LAYERS, _place_of(name) if isinstance(name, str) else name)
    return str.__str__(name)


def _place_of(layer: str) -> str:
    """Under which name a layer's array stands: for HDF5 a slash is no part of a name."""
    return layer.replace("/", "%2F")


def find_layers(handle: Handle, name: str) -> Callable[[], tuple[dict[str, Any], float]] | None:
    """Where such outputs are; called, it returns them in the order given, and the timestamp. None: no such.

    Raises
    ------
    DamagedError
    """
    if not exists(handle, LAYERS, name):
        return None
    place = KINDS[LAYERS].places[0]
    found, group = facts(handle, LAYERS, name), below(handle, place, name)
    order = get_document(found, ORDER)
    if order is None:
        places = {layer: layer for layer, _ in links(h5py.Group(group))}
    else:
        places = {layer: _place_of(layer) for layer in order}
    arrays = {layer: stored(handle, group, at, f"/{place}/{name}/{at}") for layer, at in places.items()}
    return lambda: ({layer: array() for layer, array in arrays.items()}, float(found[TIMESTAMP]))


def plan_metrics(timestamp: Any, metrics: Any, task: Any) -> Plan:
    """Numbers by name to be stored, as float64.

    Raises
    ------
    InputError
        Among others: a number that float64 does not hold.
    """
    time = admit_timestamp(timestamp)
    text = admit_label(METRICS, task, time)
    if not isinstance(metrics, Mapping):
        raise InputError("metrics", "a dict of numbers", type(metrics).__name__)
    names = [_admit_metric(name) for name in metrics]
    values = np.array([admit_real(f"metrics/{name}", None, metrics[name]) for name in metrics], np.float64)
    order = dumps(names, "metrics")

    def write(handle: Handle, filters: Filters, name: str) -> None:
        group = make.group(handle.group(KINDS[METRICS].places[0]), name.encode())
        make.attribute(group, TIMESTAMP, np.float64(time))
        make.attribute(group, KINDS[METRICS].label, text)
        if len(names) <= _IN_ATTRIBUTE:
            put_texts(group, METRIC_NAMES, names)
        put_document(group, "names", order)
        put(group, VALUES, values, filters)

    return Plan(METRICS, text, time, write)


def _admit_metric(name: Any) -> str:
    if not isinstance(name, str):
        raise InputError("metrics", "names as str", f"{type(name).__name__} {name!r}"[:80])
    # It stands in a text, not in a path.
    admit_name("metrics", name.replace("/", "|"))
    return str.__str__(name)


def find_metrics(handle: Handle, name: str) -> Callable[[], tuple[dict[str, float], float, str]] | None:
    """Where such metrics are; called, it returns them, timestamp and task. None: there are none.

    Raises
    ------
    DamagedError
    """
    if not exists(handle, METRICS, name):
        return None
    place = KINDS[METRICS].places[0]
    found = facts(handle, METRICS, name)
    task = label_of(METRICS, name, found)
    values = stored(handle, below(handle, place, name), VALUES, f"/{place}/{name}/{VALUES}")
    names = get_document(found, "names")
    if names is None:
        names = [str(text) for text in np.asarray(found.get(METRIC_NAMES, [])).tolist()]

    def read() -> tuple[dict[str, float], float, str]:
        numbers = values().tolist()
        if len(numbers) != len(names):
            raise DamagedError(f"/{place}/{name}: {len(names)} names for {len(numbers)} values")
        return (
            dict(zip(names, numbers, strict=True)),
            float(found[TIMESTAMP]),
            task,
        )

    return read
