"""One object of every kind: how it is stored, retrieved, and compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recorder.storage import HDF5Storage

RNG = np.random.default_rng(5)


@dataclass(frozen=True)
class Case:
    """A call that stores, and what retrieving has to return."""

    kind: str
    call: str
    arguments: dict[str, Any]
    wanted: Any

    def store(self, storage: HDF5Storage, timestamp: float) -> str:
        return str(getattr(storage, f"store_{self.call}")(timestamp, **self.arguments))

    def check(self, storage: HDF5Storage, name: str, timestamp: float) -> None:
        found = getattr(storage, f"retrieve_{self.call}")(name)
        assert found is not None, f"{name} is not there"
        assert_equal(
            found if isinstance(found, tuple) else tuple(vars(found).values()), self.wanted(timestamp)
        )


def assert_equal(found: Any, wanted: Any) -> None:
    """Equal to the bit, in type, dtype and shape."""
    if isinstance(wanted, np.ndarray):
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert found.tobytes() == wanted.tobytes()
        assert found.flags.writeable
    elif hasattr(wanted, "tocsr"):
        assert type(found) is type(wanted)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert (found != wanted).nnz == 0
    elif isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            assert_equal(found[key], wanted[key])
    elif isinstance(wanted, list | tuple):
        assert type(found) is type(wanted)
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert_equal(a, b)
    else:
        assert type(found) is type(wanted), (found, wanted)
        assert repr(found) == repr(wanted)


def sparse_matrix(n: int = 100, share: float = 0.1, dtype: Any = np.float64, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return ((rng.random((n, n)) < share) * (1 + 9 * rng.random((n, n)))).astype(dtype)


METADATA = {
    "network": "lsm",
    "n": 24,
    "share": 0.1,
    "frozen": False,
    "none": None,
    "list": [1, {"a": (1, 2)}],
}


def _snapshot(adjacency: Any, weights: Any, states: Any, metadata: Any = None) -> Case:
    arguments = {
        "adjacency_matrix": adjacency,
        "weight_matrix": weights,
        "neuron_states": states,
        "metadata": metadata,
    }
    return Case(
        "snapshot",
        "network_snapshot",
        arguments,
        lambda t: (t, adjacency, weights, states, {} if metadata is None else metadata),
    )


def _train(times: Any, neurons: Any, amplitudes: Any = None, metadata: Any = None) -> Case:
    arguments = {
        "spike_times": times,
        "neuron_ids": neurons,
        "spike_amplitudes": amplitudes,
        "metadata": metadata,
    }
    wanted: Callable[[float], Any] = lambda t: (t, times, neurons, amplitudes, metadata or {})  # noqa: E731
    return Case("spike_train", "spike_train", arguments, wanted)


def _labelled(kind: str, call: str, argument: str, values: Any, named: str, label: str) -> Case:
    return Case(kind, call, {argument: values, named: label}, lambda t: (values, t, label))


def cases() -> dict[str, Case]:
    """By a name; some with shapes and dtypes that are rare."""
    adjacency = sparse_matrix() > 0
    layers = {"out": RNG.random((4, 3)), "hidden é": RNG.random((2, 6)).astype("f4"), "a": np.zeros((0, 3))}
    parameters = {"original_shape": (100, 24), "compression_ratio": 10.0, "algorithm": "rle", "x": [1, None]}
    packed = RNG.integers(0, 255, 240, dtype=np.uint8)
    metrics = {"accuracy": 0.85, "train/loss": 0.23, "nan": float("nan"), "é": -0.0}
    wide = RNG.normal(size=(300, 500))
    return {
        "snapshot": _snapshot(adjacency, sparse_matrix(), RNG.random((100, 5)), METADATA),
        "snapshot, dense": _snapshot(RNG.random((30, 30)), RNG.random((30, 30)).astype("f4"), RNG.random(30)),
        "snapshot, empty": _snapshot(np.zeros((0, 0)), np.zeros((0, 0), "i2"), np.array(5.0)),
        "snapshot, zeros": _snapshot(np.zeros((70, 70)), -np.zeros((70, 70)), np.zeros((0, 5))),
        "train": _train(
            np.sort(RNG.random(60)), RNG.integers(0, 20, 60), RNG.random(60).astype("f4"), METADATA
        ),
        "train, silent": _train(np.zeros(0), np.zeros(0, np.int32)),
        "compressed": Case(
            "compressed",
            "compressed_spike_train",
            {"spike_data": packed, "compression_params": parameters},
            lambda t: (packed, t, parameters),
        ),
        "reservoir": _labelled(
            "reservoir", "reservoir_states", "reservoir_states", wide, "reservoir_id", "main_reservoir"
        ),
        "reservoir, scalar": _labelled(
            "reservoir",
            "reservoir_states",
            "reservoir_states",
            np.array(np.float32(3)),
            "reservoir_id",
            "é_1",
        ),
        "layers": Case("layer_outputs", "layer_outputs", {"layer_outputs": layers}, lambda t: (layers, t)),
        "layers, none": Case("layer_outputs", "layer_outputs", {"layer_outputs": {}}, lambda t: ({}, t)),
        "attention": _labelled(
            "attention", "attention_map", "attention_map", RNG.random((2, 8, 8)), "attention_id", "head"
        ),
        "plasticity": _labelled(
            "plasticity",
            "plasticity_trace",
            "synapse_changes",
            RNG.normal(size=(12, 12)),
            "plasticity_type",
            "bcm",
        ),
        "plasticity, complex": _labelled(
            "plasticity", "plasticity_trace", "synapse_changes", np.array([1 + 2j]), "plasticity_type", "stdp"
        ),
        "homeostatic": _labelled(
            "homeostatic", "homeostatic_trace", "homeostatic_changes", RNG.random(50) > 0.5, "mechanism", "ip"
        ),
        "metrics": Case(
            "performance",
            "performance_metrics",
            {"metrics": metrics, "task_type": "classification"},
            lambda t: (metrics, t, "classification"),
        ),
        "metrics, none": Case(
            "performance",
            "performance_metrics",
            {"metrics": {}, "task_type": "general"},
            lambda t: ({}, t, "general"),
        ),
    }
