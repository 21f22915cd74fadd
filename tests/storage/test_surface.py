"""The names, arguments and defaults that programs rely on, and the ways in which they use them."""

from __future__ import annotations

import inspect
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recorder.storage
from recorder.storage import HDF5_AVAILABLE, HDF5Storage, HDF5StorageError, NetworkSnapshot, SpikeTrainData

EMPTY = inspect.Parameter.empty
CONSTRUCTOR = {
    "file_path": "godly_ai_data.h5",
    "compression": "gzip",
    "compression_opts": 6,
    "chunk_size": 1024,
    "max_file_size": 10 * 1024**3,
    "enable_swmr": True,
}
CALLS: dict[str, dict[str, Any]] = {
    "store_network_snapshot": {
        "timestamp": EMPTY,
        "adjacency_matrix": EMPTY,
        "weight_matrix": EMPTY,
        "neuron_states": EMPTY,
        "metadata": None,
    },
    "retrieve_network_snapshot": {"snapshot_id": EMPTY},
    "get_network_snapshots_in_range": {"start_time": EMPTY, "end_time": EMPTY},
    "store_spike_train": {
        "timestamp": EMPTY,
        "spike_times": EMPTY,
        "neuron_ids": EMPTY,
        "spike_amplitudes": None,
        "metadata": None,
    },
    "retrieve_spike_train": {"train_id": EMPTY},
    "store_compressed_spike_train": {"timestamp": EMPTY, "spike_data": EMPTY, "compression_params": EMPTY},
    "store_reservoir_states": {"timestamp": EMPTY, "reservoir_states": EMPTY, "reservoir_id": "default"},
    "retrieve_reservoir_states": {"state_id": EMPTY},
    "store_layer_outputs": {"timestamp": EMPTY, "layer_outputs": EMPTY},
    "retrieve_layer_outputs": {"output_id": EMPTY},
    "store_plasticity_trace": {"timestamp": EMPTY, "synapse_changes": EMPTY, "plasticity_type": "stdp"},
    "retrieve_plasticity_trace": {"trace_id": EMPTY},
    "store_homeostatic_trace": {
        "timestamp": EMPTY,
        "homeostatic_changes": EMPTY,
        "mechanism": "intrinsic_plasticity",
    },
    "store_performance_metrics": {"timestamp": EMPTY, "metrics": EMPTY, "task_type": "general"},
    "retrieve_performance_metrics": {"metrics_id": EMPTY},
    "get_file_info": {},
    "rotate_file": {},
    "check_file_size": {},
    "close": {},
}


def parameters(call: Any) -> dict[str, Any]:
    return {name: p.default for name, p in inspect.signature(call).parameters.items() if name != "self"}


def test_documented_names_arguments_and_defaults() -> None:
    assert HDF5_AVAILABLE is True
    assert {"HDF5Storage", "HDF5StorageError", "HDF5_AVAILABLE"} <= set(recorder.storage.__all__)
    assert all(hasattr(recorder.storage, name) for name in recorder.storage.__all__)
    found = list(parameters(HDF5Storage.__init__).items())
    assert found[: len(CONSTRUCTOR)] == list(CONSTRUCTOR.items())
    for name, wanted in CALLS.items():
        assert parameters(getattr(HDF5Storage, name)) == wanted, name
    assert parameters(HDF5Storage.cleanup_old_data)["retention_days"] == 30
    fields = ["timestamp", "adjacency_matrix", "weight_matrix", "neuron_states", "metadata"]
    assert list(parameters(NetworkSnapshot)) == fields
    fields = ["timestamp", "spike_times", "neuron_ids", "spike_amplitudes", "metadata"]
    assert list(parameters(SpikeTrainData)) == fields
    assert issubclass(HDF5StorageError, Exception)


def test_a_life_as_programs_have_it(tmp_path: Path) -> None:
    """Configure, store, monitor, keep some kinds longer, and put right what goes wrong."""
    path = tmp_path / "deep" / "data.h5"
    storage = HDF5Storage(
        str(path), compression="lzf", compression_opts=None, chunk_size=512, enable_swmr=True
    )
    now, rng = time.time(), np.random.default_rng(0)
    for day in range(5):
        when = now - day * 86_400
        storage.store_spike_train(
            when, np.sort(rng.random(50)), rng.integers(0, 9, 50), metadata={"day": day}
        )
        storage.store_plasticity_trace(when, rng.normal(size=(4, 4)))
    trains = [storage.retrieve_spike_train(entry.id) for entry in storage.find("spike_train")]
    assert [train.metadata for train in trains if train] == [{"day": day} for day in range(5)[::-1]]
    info = storage.get_file_info()
    assert 0 < info["file_size_mb"] < 1
    assert info["file_size_bytes"] == path.stat().st_size or path.stat().st_size > info["file_size_bytes"]
    assert not storage.check_file_size()

    cutoff = now - 2.5 * 86_400
    with storage._file_context("a") as file:
        traces = file["learning_traces/plasticity"]
        for name in [name for name in traces if traces[name].attrs["timestamp"] < cutoff]:
            del traces[name]
    assert len(storage.find("plasticity")) == 3
    assert storage.cleanup_old_data(retention_days=3.5) == 1
    assert len(storage.find()) == 3 + 4
    assert storage.compact_file()

    storage.backup(tmp_path / "backup")
    storage.close()
    path.write_bytes(b"damaged")
    with pytest.raises(HDF5StorageError):
        HDF5Storage(path)
    HDF5Storage.restore(tmp_path / "backup", path)
    with HDF5Storage(path) as again:
        assert len(again.find()) == 7
        assert again.verify() == []
    storage.close()
    assert len(storage.find()) == 7, "a later call opens the file again"
    storage.close()
    assert sorted(p.name for p in path.parent.iterdir()) == ["data.h5", "data.h5.replaced"]
