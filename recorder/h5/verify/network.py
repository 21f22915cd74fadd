"""The network structure against itself: columns of one length, weights that are a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from recorder.format.layout import CONNECTIONS, ENCODING, NEURONS, WEIGHTS, WEIGHTS_CSR
from recorder.h5.verify.finding import Finding
from recorder.h5.verify.unit import Unit, leads_up


def check_network(unit: Unit, root: dict[str, Any]) -> Iterator[Finding]:
    """Counts at the root against the columns, and the row pointers of the weights."""
    for part, column, count in (
        (NEURONS, "neuron_ids", "n_neurons"),
        (CONNECTIONS, "source_ids", "n_connections"),
    ):
        ids = unit.rows(f"{part}/{column}")
        if ids is not None and root.get(count, ids) != ids:
            yield Finding(
                f"{unit.path}/{part}/{column}", f"has {ids} rows, the file says {count} = {root[count]}"
            )
    if unit.facts(WEIGHTS).get(ENCODING) == WEIGHTS_CSR:
        yield from _check_matrix(unit)


def _check_matrix(unit: Unit) -> Iterator[Finding]:
    path = f"{unit.path}/{WEIGHTS}"
    pointers, indices, data = (f"{WEIGHTS}/{name}" for name in ("indptr", "indices", "data"))
    rows, columns = (int(n) for n in unit.facts(WEIGHTS)["shape"])
    entries, places, values = unit.rows(pointers), unit.rows(indices), unit.rows(data)
    if entries is None or places is None or values is None:
        yield Finding(path, "has no indptr, indices or data")
        return
    if places != values:
        yield Finding(path, f"has {places} indices and {values} values")
    if entries != rows + 1:
        yield Finding(f"{path}/indptr", f"has {entries} entries for {rows} rows")
    elif unit.sound(pointers):
        whole = unit.read(pointers)
        if whole[0] != 0 or not leads_up(whole, places):
            yield Finding(f"{path}/indptr", f"does not lead from 0 up to the {places} indices")
    if unit.sound(indices):
        for block in unit.blocks(indices):
            if len(block) and not 0 <= int(block.min()) <= int(block.max()) < columns:
                yield Finding(f"{path}/indices", f"points outside the {columns} columns")
                break
