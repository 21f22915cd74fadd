"""Spikes neuron by neuron, in memory that does not grow with their number."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.columns import Block, blocks
from loaders.interchange.joined import Placed, check_rising
from recorder.errors import ExportError
from recorder.format.layout import SPIKES, TIMESTEPS


class Trains:
    """The spikes of episodes on a common line, sorted by neuron; those of one neuron in order of time.

    Attributes
    ----------
    ends : int64 array (neurons,)
        Where the spikes of each neuron end.
    timesteps : int64 array (spikes,)
    values : array (spikes,) or None
        Of graded spikes.
    """

    def __init__(self, placed: Sequence[Placed]) -> None:
        having = [part for part in placed if SPIKES in part.tables]
        sizes = {part.tables[SPIKES][SPIKES].shape[1] for part in having}
        if len(sizes) > 1:
            raise ExportError(
                f"episodes have spikes of {sorted(sizes)} neurons: give them files of their own"
            )
        for part in having:
            check_rising(part, SPIKES)
        self.n_neurons = sizes.pop() if sizes else 0
        counts = np.zeros(self.n_neurons, np.int64)
        kinds = {None if (v := b.get("values")) is None else v.dtype for b in _all(having, counts)}
        if len(kinds) > 1:
            raise ExportError(f"episodes have spikes with values of {kinds}: give them files of their own")
        self.ends = np.cumsum(counts)
        total = int(self.ends[-1]) if len(self.ends) else 0
        self.timesteps = _scratch(total, np.dtype(np.int64))
        kind = kinds.pop() if kinds else None
        self.values = None if kind is None else _scratch(total, kind)
        free = self.ends - counts
        for part in having:
            for block in _blocks(part):
                order = np.argsort(block["neuron_ids"], kind="stable")
                neurons = block["neuron_ids"][order]
                own = np.bincount(neurons, minlength=self.n_neurons)
                first = np.cumsum(own) - own
                places = np.arange(len(neurons)) + (free - first)[neurons]
                self.timesteps[places] = block["timesteps"][order] + part.shift
                if self.values is not None:
                    self.values[places] = block["values"][order]
                free += own

    def of(self, neuron: int) -> slice:
        """The spikes of a neuron."""
        return slice(int(self.ends[neuron - 1]) if neuron else 0, int(self.ends[neuron]))


def _blocks(part: Placed) -> Iterator[Block]:
    # The rows that were there at first, in this pass and in the next one.
    return blocks(part.episode, SPIKES, len(part.tables[SPIKES][TIMESTEPS]))


def _all(having: Sequence[Placed], counts: NDArray[np.int64]) -> Any:
    for part in having:
        for block in _blocks(part):
            counts += np.bincount(block["neuron_ids"], minlength=len(counts))
            yield block


def _scratch(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    # In a file without a name, which the system keeps in memory as long as there is room.
    if not count:
        return np.empty(0, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=(count,))
