"""The weights at a timestep: the initial ones, and every change up to then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import ReadError

Columns = Mapping[str, NDArray[Any]]


def by_time(columns: Columns) -> dict[str, NDArray[Any]]:
    """Weight changes sorted by timestep, those of one timestep in call order, with ``deltas``."""
    if not columns:
        return {}
    order = np.argsort(columns["timesteps"], kind="stable")
    first = ("timesteps", "synapse_ids", "source_ids", "target_ids", "old_weights", "new_weights")
    found = {name: columns[name][order] for name in first if name in columns}
    if "deltas" not in columns and {"old_weights", "new_weights"} <= columns.keys():
        found["deltas"] = found["new_weights"] - found["old_weights"]
    return found | {name: column[order] for name, column in columns.items() if name not in found}


def weights_after(
    initial: Any, changes: Iterable[Columns], connections: Mapping[str, Any]
) -> NDArray[Any] | Any:
    """The weights after ``changes``, which come in order; see ``EpisodeData.get_weight_matrix``."""
    if initial is None:
        raise ReadError("the recording has no initial weights, so there is no matrix to change")
    if isinstance(initial, Mapping) and np.ndim(initial.get("weights", 0)) == 1:
        initial = np.asarray(initial["weights"])  # beside columns that say what its entries are
    if isinstance(initial, Mapping):
        raise ReadError(f"the initial weights are columns ({', '.join(initial)}), not a vector or a matrix")
    parts = [part for part in changes if len(part.get("timesteps", ()))]
    dtype = np.result_type(initial.dtype, *(part["new_weights"].dtype for part in parts))
    if initial.ndim == 1:
        weights = np.array(initial, dtype)
        for part in parts:
            ids = part["synapse_ids"] if "synapse_ids" in part else _synapses(part, connections)
            _check(ids, len(weights), "synapse")
            # Of a synapse that changes more than once NumPy keeps the last value.
            weights[ids] = part["new_weights"]
        return weights
    return _matrix(initial, parts, connections, dtype)


def _matrix(initial: Any, parts: list[Columns], connections: Mapping[str, Any], dtype: np.dtype[Any]) -> Any:
    import scipy.sparse

    summed = scipy.sparse.csr_array(initial, copy=True)
    summed.sum_duplicates()
    base = summed.tocoo()
    rows, columns, values = [base.row], [base.col], [base.data]
    for part in parts:
        sources, targets = _pairs(part, connections)
        _check(sources, base.shape[0], "source")
        _check(targets, base.shape[1], "target")
        rows.append(sources)
        columns.append(targets)
        values.append(part["new_weights"])
    row, column = (np.concatenate(side).astype(np.int64) for side in (rows, columns))
    value = np.concatenate([part.astype(dtype) for part in values])
    cell = row * base.shape[1] + column
    # The last entry of each cell is its weight: the first one of the reversed list.
    _, last = np.unique(cell[::-1], return_index=True)
    kept = len(cell) - 1 - last
    return scipy.sparse.coo_array((value[kept], (row[kept], column[kept])), shape=base.shape).tocsr()


def _pairs(part: Columns, connections: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if "source_ids" in part:
        return part["source_ids"], part["target_ids"]
    sources, targets = _connection_ends(connections)
    ids = part["synapse_ids"]
    _check(ids, len(sources), "synapse")
    pairs = np.stack([sources, targets], axis=1)
    _, which, number = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    shared = number[which.reshape(-1)[ids]] > 1
    if shared.any():
        first = int(ids[np.flatnonzero(shared)[0]])
        raise ReadError(
            f"synapse {first} shares its pair {tuple(pairs[first].tolist())} with another connection: "
            "a matrix has one entry for both (1-D initial weights have one each)"
        )
    return sources[ids], targets[ids]


def _synapses(part: Columns, connections: Mapping[str, Any]) -> NDArray[np.int64]:
    sources, targets = _connection_ends(connections)
    width = int(max(np.max(targets, initial=0), np.max(part["target_ids"], initial=0))) + 1
    known = sources.astype(np.int64) * width + targets
    wanted = part["source_ids"].astype(np.int64) * width + part["target_ids"]
    order = np.argsort(known, kind="stable")
    low = np.searchsorted(known[order], wanted, side="left")
    number = np.searchsorted(known[order], wanted, side="right") - low
    if (number != 1).any():
        first = int(np.flatnonzero(number != 1)[0])
        pair = (int(part["source_ids"][first]), int(part["target_ids"][first]))
        raise ReadError(
            f"the connections hold the pair {pair} {int(number[first])} times, so it names no weight"
        )
    return order[low]


def _connection_ends(connections: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if not {"source_ids", "target_ids"} <= connections.keys():
        raise ReadError("the connections have no source_ids and target_ids to find the weights by")
    return np.asarray(connections["source_ids"]), np.asarray(connections["target_ids"])


def _check(ids: NDArray[Any], count: int, what: str) -> None:
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < count:
        wrong = int(ids.min()) if ids.min() < 0 else int(ids.max())
        raise ReadError(f"a weight change names {what} {wrong}, but the weights have {count}")
