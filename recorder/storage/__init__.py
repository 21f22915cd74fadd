"""A long-lived store of network states, spike trains, activations and learning traces in one HDF5 file.

>>> from recorder.storage import HDF5Storage
>>> with HDF5Storage("run.h5") as storage:  # doctest: +SKIP
...     snapshot_id = storage.store_network_snapshot(time.time(), adjacency, weights, states)
...     snapshot = storage.retrieve_network_snapshot(snapshot_id)
"""

from recorder.errors import HDF5StorageError, StorageInputError, StorageLockedError
from recorder.storage.objects import Checkpoint, CompactReport, Entry, NetworkSnapshot, SpikeTrainData
from recorder.storage.storage import HDF5_AVAILABLE, HDF5Storage

__all__ = [
    "HDF5_AVAILABLE",
    "Checkpoint",
    "CompactReport",
    "Entry",
    "HDF5Storage",
    "HDF5StorageError",
    "NetworkSnapshot",
    "SpikeTrainData",
    "StorageInputError",
    "StorageLockedError",
]
