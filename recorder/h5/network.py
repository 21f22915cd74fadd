"""The network structure: columns of neurons and connections, and the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import as_array
from recorder.format.layout import (
    CONNECTIONS,
    ENCODING,
    NETWORK,
    NEURONS,
    WEIGHTS,
    WEIGHTS_COLUMNS,
    WEIGHTS_CSR,
    WEIGHTS_DENSE_1D,
)
from recorder.format.sparse import Csr, admit_vector, is_sparse, to_csr
from recorder.h5.columns import put_array
from recorder.h5.keywords import GZIP
from recorder.h5.tree import get_csr, plan_tree, put_csr, read_tree, write_plan


def plan_network(neurons: Any, connections: Any, weights: Any = None) -> dict[str, Any]:
    """Everything that :func:`put_network` checks and converts; nothing is written.

    Raises
    ------
    InputError
    """
    return {
        NEURONS: plan_tree(neurons, f"{NETWORK}/{NEURONS}"),
        CONNECTIONS: plan_tree(connections, f"{NETWORK}/{CONNECTIONS}"),
        WEIGHTS: _plan_weights(weights),
    }


def _plan_weights(weights: Any) -> Csr | NDArray[Any] | dict[str, Any] | None:
    if weights is None:
        return None
    # SciPy's first, because its dok matrices are mappings too.
    if is_sparse(weights):
        return to_csr(weights)
    if isinstance(weights, Mapping):
        return plan_tree(weights, f"{NETWORK}/{WEIGHTS}")
    array = as_array(f"{NETWORK}/{WEIGHTS}", None, weights)
    return to_csr(array) if array.ndim == 2 else admit_vector(array)


def put_network(
    file: Any, neurons: Any, connections: Any, weights: Any = None, filters: dict[str, Any] = GZIP
) -> None:
    """Store the network in an open file; everything is validated before anything is written.

    ``neurons`` and ``connections`` are mappings of columns. ``weights`` is a matrix (dense (rows,
    columns) or SciPy sparse, stored as CSR), a vector, a mapping of columns, or None. The root
    attributes ``n_neurons`` and ``n_connections`` are the lengths of ``neuron_ids`` and ``source_ids``.

    Raises
    ------
    InputError
        A column or the weights cannot be stored, or a key is no HDF5 name.
    """
    write_network(file, plan_network(neurons, connections, weights), filters)


def write_network(file: Any, plan: Mapping[str, Any], filters: dict[str, Any] = GZIP) -> None:
    """Write what :func:`plan_network` returned."""
    network = file.require_group(NETWORK)
    for part, key, count in (
        (NEURONS, "neuron_ids", "n_neurons"),
        (CONNECTIONS, "source_ids", "n_connections"),
    ):
        write_plan(network.create_group(part), plan[part], filters)
        ids = plan[part].get(key)
        if isinstance(ids, np.ndarray) and ids.ndim:
            file.attrs[count] = np.int64(len(ids))
    weights = plan[WEIGHTS]
    if weights is None:
        return
    group = network.create_group(WEIGHTS)
    if isinstance(weights, Csr):
        put_csr(group, weights, filters)
    elif isinstance(weights, dict):
        group.attrs[ENCODING] = WEIGHTS_COLUMNS
        write_plan(group, weights, filters)
    else:
        group.attrs[ENCODING] = WEIGHTS_DENSE_1D
        put_array(group, "weights", weights, filters)


def get_network(file: Any) -> dict[str, Any]:
    """``{"neurons": …, "connections": …, "initial_weights": …}`` as they were given; {} without a network.

    Raises
    ------
    DamagedError
    """
    network = file.get(NETWORK)
    if network is None or not len(network):
        return {}
    out: dict[str, Any] = {
        part: read_tree(network[part]) for part in (NEURONS, CONNECTIONS) if part in network
    }
    if WEIGHTS in network:
        group = network[WEIGHTS]
        form = group.attrs.get(ENCODING)
        if form == WEIGHTS_CSR:
            out[WEIGHTS] = get_csr(group)
        else:
            out[WEIGHTS] = read_tree(group) if form == WEIGHTS_COLUMNS else read_tree(group)["weights"]
    return out
