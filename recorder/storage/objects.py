"""What a store returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray


@dataclass
class NetworkSnapshot:
    """The state of a network at one time.

    Attributes
    ----------
    timestamp : float
        Seconds.
    adjacency_matrix, weight_matrix : array, or SciPy's sparse class
        In the form, dtype and shape that were given.
    neuron_states : array
    metadata : dict
    """

    timestamp: float
    adjacency_matrix: Any
    weight_matrix: Any
    neuron_states: Any
    metadata: dict[str, Any]


@dataclass
class SpikeTrainData:
    """Spikes of a recording that began at ``timestamp``; arrays of equal shape."""

    timestamp: float
    spike_times: NDArray[Any]
    neuron_ids: NDArray[Any]
    spike_amplitudes: NDArray[Any] | None = None
    metadata: dict[str, Any] | None = None


@dataclass
class Checkpoint:
    """A simulation to go on with.

    Attributes
    ----------
    timestamp : float
        Seconds.
    state : dict
        As it was given; numbers are NumPy scalars and lists of numbers are arrays.
    generators : dict
        Random generators and keys by name, in the states that they had.
    metadata : dict
    """

    timestamp: float
    state: dict[str, Any]
    generators: dict[str, Any]
    metadata: dict[str, Any]


class Entry(NamedTuple):
    """An object of a store: its kind, its id, when it was, and in which file it stands."""

    kind: str
    id: str
    timestamp: float
    file: Path


@dataclass(frozen=True)
class CompactReport:
    """What a compaction did; sizes in bytes."""

    path: Path
    objects: int
    before: int
    after: int
    resumed: int = 0

    @property
    def reclaimed(self) -> int:
        """Bytes that the file is smaller by."""
        return self.before - self.after
