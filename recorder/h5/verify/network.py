"""The network structure against itself: columns of one length, weights that are a matrix."""

from __future__ import annotations

from collections.abc import Iterator

import h5py
import numpy as np

from recorder.format.layout import CONNECTIONS, ENCODING, NETWORK, NEURONS, WEIGHTS, WEIGHTS_CSR
from recorder.h5.verify.finding import Finding


def check_network(file: h5py.File) -> Iterator[Finding]:
    """Counts at the root against the columns, and the row pointers of the weights."""
    network = file[NETWORK]
    for part, column, count in (
        (NEURONS, "neuron_ids", "n_neurons"),
        (CONNECTIONS, "source_ids", "n_connections"),
    ):
        ids = network.get(f"{part}/{column}")
        if ids is not None and ids.shape and file.attrs.get(count, len(ids)) != len(ids):
            yield Finding(ids.name, f"has {len(ids)} rows, the file says {count} = {file.attrs[count]}")
    weights = network.get(WEIGHTS)
    if weights is None or weights.attrs.get(ENCODING) != WEIGHTS_CSR:
        return
    pointers, indices, data = weights["indptr"][:], weights["indices"], weights["data"]
    rows, columns = (int(n) for n in weights.attrs["shape"])
    if len(pointers) != rows + 1:
        yield Finding(f"{weights.name}/indptr", f"has {len(pointers)} entries for {rows} rows")
    elif pointers[0] != 0 or np.any(np.diff(pointers) < 0) or pointers[-1] != len(indices):
        yield Finding(f"{weights.name}/indptr", f"does not lead from 0 up to the {len(indices)} indices")
    if len(indices) != len(data):
        yield Finding(weights.name, f"has {len(indices)} indices and {len(data)} values")
    if len(indices):
        places = indices[:]
        if places.min() < 0 or places.max() >= columns:
            yield Finding(indices.name, f"points outside the {columns} columns")
