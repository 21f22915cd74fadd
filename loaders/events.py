"""Events as columns: what was logged call by call, gathered by type and key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.format.layout import OWN_TIMESTEPS, TIMESTEPS

Event = tuple[int, str, dict[Any, Any]]


def event_columns(events: Iterable[Event]) -> dict[str, dict[str, NDArray[Any]]]:
    """``{type: {'timesteps': int64 (events,), key: values, …}}`` in call order.

    A key that some events of its type lack has timesteps of its own, ``<key>_timesteps``. A key whose
    name these columns need (``timesteps``) stands as ``data/<key>``.
    """
    by_type: dict[str, list[tuple[int, dict[Any, Any]]]] = {}
    for step, kind, data in events:
        by_type.setdefault(kind, []).append((step, data))
    return {kind: _columns(rows) for kind, rows in by_type.items()}


def stack(values: list[Any]) -> NDArray[Any]:
    """One array ``(values, ...)`` where all are numbers of one dtype and shape, else an object array."""
    try:
        arrays = [np.asarray(value) for value in values]
    except (ValueError, OverflowError):  # ragged lists
        arrays = []
    same = {(array.dtype, array.shape) for array in arrays}
    if len(same) == 1 and next(iter(same))[0].kind in "biufcmM":
        return np.stack(arrays)
    column = np.empty(len(values), object)
    for row, value in enumerate(values):
        column[row] = value
    return column


def _columns(rows: list[tuple[int, dict[Any, Any]]]) -> dict[str, NDArray[Any]]:
    columns: dict[Any, tuple[list[int], list[Any]]] = {}
    for step, data in rows:
        for key, value in data.items():
            steps, values = columns.setdefault(key, ([], []))
            steps.append(step)
            values.append(value)
    partial = {key for key, (steps, _) in columns.items() if len(steps) < len(rows)}
    taken = {TIMESTEPS, *(f"{key}{OWN_TIMESTEPS}" for key in partial)}
    found = {TIMESTEPS: np.array([step for step, _ in rows], np.int64)}
    for key, (steps, values) in columns.items():
        found[f"data/{key}" if key in taken else key] = stack(values)
        if key in partial:
            found[f"{key}{OWN_TIMESTEPS}"] = np.array(steps, np.int64)
    return found
