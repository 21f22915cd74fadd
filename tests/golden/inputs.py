"""What a golden recording was given, kept apart from what the recorder made of it.

``inputs.json`` is ``{"exporter", "options", "calls": [[method, arguments], ...]}``. In it ``{"npz": name}``
stands for an array of ``inputs.npz``, and ``{"python": text}`` for the value of an expression: neither goes
through code that is tested here. Three calls are no methods of the exporter: ``log_rows`` is ``log`` for each
row of the arrays, ``end`` is ``end`` of the current episode, ``raise`` leaves the ``with`` block.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

NAMES = {
    "np": np,
    "sparse": sparse,
    "Path": Path,
    "date": date,
    "datetime": datetime,
    "time": time,
    "timedelta": timedelta,
    "timezone": timezone,
    "nan": float("nan"),
    "inf": float("inf"),
}


def load(folder: Path, spike_indices: Any) -> dict[str, Any]:
    """Inputs with all their values; ``spike_indices(ids, n_neurons)`` stands for declared indices."""
    with np.load(folder / "inputs.npz") as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    names = {**NAMES, "SpikeIndices": spike_indices}

    def value(item: Any) -> Any:
        if isinstance(item, list):
            return [value(part) for part in item]
        if not isinstance(item, dict):
            return item
        if item.keys() == {"npz"}:
            return columns[item["npz"]]
        if item.keys() == {"python"}:
            return eval(item["python"], dict(names))
        return {key: value(part) for key, part in item.items()}

    return value(json.loads((folder / "inputs.json").read_text("utf-8")))


def rows(arguments: dict[str, Any], spike_indices: Any) -> Iterator[dict[str, Any]]:
    """The calls of ``log`` that a ``log_rows`` or ``log_batch`` stands for."""
    spikes = arguments.get("spikes")
    for i, step in enumerate(arguments["timesteps"].tolist()):
        call: dict[str, Any] = {"timestep": step}
        for name in ("neural_state", "behavior"):
            if name in arguments:
                call[name] = {key: column[i] for key, column in arguments[name].items()}
        if isinstance(spikes, dict):
            first, last = np.searchsorted(spikes["rows"], [i, i + 1])
            call["spikes"] = spike_indices(spikes["neurons"][first:last], spikes["n_neurons"])
        elif spikes is not None:
            call["spikes"] = spikes[i]
        if "reward" in arguments:
            call["reward"] = float(arguments["reward"][i])
        yield call
