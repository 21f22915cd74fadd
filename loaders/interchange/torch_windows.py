"""Windows of consecutive rows as tensors, for ``torch.utils.data``."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from loaders.interchange.columns import Column, columns, tables
from loaders.interchange.facts import chosen
from loaders.windows.groups import Groups
from recorder.errors import ExportError, OptionError
from recorder.format.layout import EVENTS, RUNNING, TIMESTEPS, WEIGHT_CHANGES

if TYPE_CHECKING:
    from loaders.episode import EpisodeData
    from loaders.experiment import ExperimentLoader

_KEPT = 64
"""Episodes whose columns are kept open."""


class TorchWindows(Dataset[dict[str, torch.Tensor]]):
    """The windows of a recording's episodes, from :meth:`ExperimentLoader.torch_windows`.

    ``windows[i]`` is ``{"timesteps": int64 (length,), name: (length, ...), …}``. Goes through pickles and
    forks, to the workers of a ``DataLoader``.

    Attributes
    ----------
    groups : Groups
        Which windows belong to which episode; ``groups.locate(i)`` gives its place in ``episodes``.
    episodes : list of int
    """

    def __init__(
        self,
        recording: ExperimentLoader,
        names: Sequence[str],
        length: int,
        *,
        stride: int = 1,
        episodes: Iterable[int] | None = None,
        in_memory: bool = False,
    ) -> None:
        if isinstance(names, str) or not names:
            raise OptionError(f"names: expected a list of streams, got {names!r}")
        self.length, self.stride = _positive("length", length), _positive("stride", stride)
        self.names, self.in_memory, self._recording = list(names), in_memory, recording
        self.episodes = chosen(recording, episodes)
        self._open: dict[int, dict[str, Column]] = {}
        self._held: dict[int, dict[str, torch.Tensor]] = {}
        counts = []
        for place, number in enumerate(self.episodes):
            found, rows = _checked(recording.get_episode(number), self.names)
            counts.append(max(0, (rows - self.length) // self.stride + 1))
            if in_memory:
                self._held[place] = {name: _tensor(column.read(0, rows)) for name, column in found.items()}
        self.groups = Groups.of_counts([str(number) for number in self.episodes], counts)

    def __len__(self) -> int:
        return self.groups.total

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"window {number} of {len(self)}")
        place, window = self.groups.locate(number % len(self))
        first = window * self.stride
        if self.in_memory:
            return {name: rows[first : first + self.length] for name, rows in self._held[place].items()}
        return {
            name: _tensor(column.read(first, first + self.length))
            for name, column in self._columns(place).items()
        }

    def _columns(self, place: int) -> dict[str, Column]:
        if place not in self._open:
            while len(self._open) >= _KEPT:
                self._open.pop(next(iter(self._open)))
            self._open[place] = _named(self._recording.get_episode(self.episodes[place]), self.names)
        return self._open[place]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}


def to_torch(episode: EpisodeData, name: str) -> dict[str, torch.Tensor]:
    """See :meth:`loaders.EpisodeData.to_torch`."""
    if name not in (known := tables(episode)) or name == EVENTS:
        raise KeyError(f"{episode!r} has no numbers {name!r}; it has {', '.join(known) or 'nothing'}")
    if name == "spikes":
        found: Mapping[str, NDArray[Any]] = episode.get_spikes()
    elif name == WEIGHT_CHANGES:
        found = episode.get_weight_changes()
    else:
        found = {key: column.read(0, len(column)) for key, column in columns(episode, name).items()}
    return {key: _tensor(values) for key, values in found.items()}


def _checked(episode: EpisodeData, names: Sequence[str]) -> tuple[dict[str, Column], int]:
    known = [name for name in tables(episode) if name not in (WEIGHT_CHANGES, EVENTS)]
    for name in names:
        if name not in known:
            raise KeyError(f"{episode!r} has no rows {name!r}; it has {', '.join(known) or 'none'}")
    clocks = [columns(episode, name)[TIMESTEPS] for name in names]
    # While the episode runs, streams end at different rows: all end with the shortest.
    rows = min(len(clock) for clock in clocks)
    steps = clocks[0].read(0, rows)
    for clock in clocks:
        same = len(clock) == rows or episode.status == RUNNING
        if not same or not np.array_equal(clock.read(0, rows), steps):
            raise ExportError(f"{', '.join(names)} of {episode!r} do not have the same timesteps")
    found = _named(episode, names)
    for name, column in found.items():
        _tensor(column.read(0, 0), name)
    return found, rows


def _named(episode: EpisodeData, names: Sequence[str]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for name in names:
        own = columns(episode, name)
        found.setdefault(TIMESTEPS, own.pop(TIMESTEPS))
        (found[name],) = own.values()
    return found


def _tensor(values: NDArray[Any], name: str = "values") -> torch.Tensor:
    """A tensor in the array's own memory, unless its bytes are swapped."""
    try:
        return torch.from_numpy(np.asarray(values, values.dtype.newbyteorder("=")))
    except TypeError as error:
        raise ExportError(f"{name}: torch has no tensors of {values.dtype}") from error


def _positive(name: str, value: int) -> int:
    try:
        found = operator.index(value)
    except TypeError as error:
        raise OptionError(f"{name}: expected a number of rows, got {value!r}") from error
    if found < 1:
        raise OptionError(f"{name}: expected 1 or more, got {value!r}")
    return found
