"""The calls that store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from recorder.errors import StorageInputError
from recorder.h5.store import snapshots, spikes, tables, traces
from recorder.storage.core import Core


class Storing(Core):
    """Every call is one change of the file: when it returns, the object is there, whatever happens then.

    Arrays may be NumPy's, JAX's, torch's on the CPU, or nested lists, of any shape and also empty; they are
    stored in their dtype (in the machine's byte order) and shape, and not referred to after the call. All
    raise :class:`~recorder.errors.StorageInputError` for values that cannot be stored, before anything is,
    and :class:`~recorder.errors.HDF5StorageError` where the file cannot be written; the store is then as
    it was.
    """

    def store_network_snapshot(
        self,
        timestamp: float,
        adjacency_matrix: Any,
        weight_matrix: Any,
        neuron_states: Any,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Store the state of a network.

        Parameters
        ----------
        timestamp : float
            Seconds: Unix seconds, or a run's own time, of which removing old objects has to be told ``now``.
        adjacency_matrix, weight_matrix, neuron_states : array or SciPy sparse matrix
            What is sparse, or mostly zeros, is stored as compressed rows; what one of the last snapshots
            has as well is stored once. Sparse matrices come back with the index type that SciPy chooses.
        metadata : mapping, optional
            Anything a document holds: JSON's types, tuples, sets, bytes, dates, NumPy values.

        Returns
        -------
        str
            ``snapshot_<ms>``, with a number behind it if that is taken.
        """
        return self._store(
            "a network snapshot",
            lambda: snapshots.plan_snapshot(
                timestamp, adjacency_matrix, weight_matrix, neuron_states, metadata
            ),
        )

    def store_spike_train(
        self,
        timestamp: float,
        spike_times: Any,
        neuron_ids: Any,
        spike_amplitudes: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Store spikes: times, neurons and perhaps amplitudes, all of one shape. Returns ``train_<ms>``."""
        return self._store(
            "a spike train",
            lambda: spikes.plan_train(timestamp, spike_times, neuron_ids, spike_amplitudes, metadata),
        )

    def store_compressed_spike_train(
        self, timestamp: float, spike_data: Any, compression_params: Mapping[str, Any]
    ) -> str:
        """Store an array that stands for spikes, and how to undo that. Returns ``compressed_<ms>``."""
        return self._store(
            "a compressed spike train",
            lambda: spikes.plan_compressed(timestamp, spike_data, compression_params),
        )

    def store_reservoir_states(
        self, timestamp: float, reservoir_states: Any, reservoir_id: str = "default"
    ) -> str:
        """Store the states of a reservoir. Returns ``<reservoir_id>_<ms>``."""
        return self._store(
            "reservoir states",
            lambda: traces.plan_labelled("reservoir", timestamp, reservoir_states, reservoir_id),
        )

    def store_layer_outputs(self, timestamp: float, layer_outputs: Mapping[str, Any]) -> str:
        """Store arrays by layer, under any names. Returns ``outputs_<ms>``."""
        return self._store("layer outputs", lambda: tables.plan_layers(timestamp, layer_outputs))

    def store_attention_map(
        self, timestamp: float, attention_map: Any, attention_id: str = "attention"
    ) -> str:
        """Store an attention map. Returns ``<attention_id>_<ms>``."""
        return self._store(
            "an attention map",
            lambda: traces.plan_labelled("attention", timestamp, attention_map, attention_id),
        )

    def store_plasticity_trace(
        self, timestamp: float, synapse_changes: Any, plasticity_type: str = "stdp"
    ) -> str:
        """Store changes of synapses. Returns ``<plasticity_type>_<ms>``."""
        return self._store(
            "a plasticity trace",
            lambda: traces.plan_labelled("plasticity", timestamp, synapse_changes, plasticity_type),
        )

    def store_homeostatic_trace(
        self, timestamp: float, homeostatic_changes: Any, mechanism: str = "intrinsic_plasticity"
    ) -> str:
        """Store homeostatic changes. Returns ``<mechanism>_<ms>``."""
        return self._store(
            "a homeostatic trace",
            lambda: traces.plan_labelled("homeostatic", timestamp, homeostatic_changes, mechanism),
        )

    def store_performance_metrics(
        self, timestamp: float, metrics: Mapping[str, float], task_type: str = "general"
    ) -> str:
        """Store numbers by name, as float64. Returns ``<task_type>_<ms>``."""
        return self._store("performance metrics", lambda: tables.plan_metrics(timestamp, metrics, task_type))

    def store_many(self, calls: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """Store many objects as one change: all or none.

        Parameters
        ----------
        calls : iterable of (str, mapping)
            Names of the calls above without ``store_`` (``"spike_train"``), and their arguments by name.

        Returns
        -------
        list of str
            Ids, in the order given.

        Raises
        ------
        StorageInputError
            One of them cannot be stored; none was.
        """
        names = []
        with self.batch():
            for what, arguments in calls:
                call = getattr(self, f"store_{what}", None) if isinstance(what, str) else None
                if call is None or what in ("many", "batch"):
                    raise StorageInputError("store_many", "the name of a store call", repr(what)[:80])
                names.append(call(**arguments))
        return names
