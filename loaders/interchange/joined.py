"""Several episodes on one line of time, and their columns one after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.columns import Column, columns, rising, tables
from loaders.interchange.facts import check_known
from recorder.errors import ExportError
from recorder.format.layout import TIMESTEPS

if TYPE_CHECKING:
    from loaders.episode import EpisodeData


@dataclass(frozen=True)
class Placed:
    """An episode whose timestep ``t`` is ``t + shift`` on the line, where it takes ``start`` to ``stop``.

    ``names`` are those of its tables.
    """

    episode: EpisodeData
    names: tuple[str, ...]
    shift: int
    start: int
    stop: int


def in_line(episodes: Sequence[EpisodeData], only: Collection[str] | None = None) -> list[Placed]:
    """The first episode at its own timesteps, each other one where the one before it ends.

    Of their tables those in ``only``; raises KeyError where none of them has one of these.
    """
    placed: list[Placed] = []
    for episode in episodes:
        low, high = episode.span() or (0, 0)
        shift = placed[-1].stop - low if placed else 0
        names = tuple(tables(episode))
        placed.append(Placed(episode, names, shift, low + shift, high + shift))
    check_known(list(episodes), only, (name for part in placed for name in part.names), "only")
    if only is None:
        return placed
    return [replace(part, names=tuple(name for name in part.names if name in only)) for part in placed]


def joined(placed: Sequence[Placed], name: str) -> dict[str, Column]:
    """The columns of a table that all of these have, one after the other, ``timesteps`` on the line.

    Raises
    ------
    ExportError
        Episodes differ in columns, dtypes or shapes of rows, or timesteps fall.
    """
    having, found = zip(*((part, columns(part.episode, name)) for part in placed), strict=True)
    kinds = [kind_of(part) for part in found]
    for part, kind in zip(having, kinds, strict=True):
        if kind != kinds[0]:
            raise ExportError(
                f"{name} of {part.episode!r} has {kind}, that of {having[0].episode!r} {kinds[0]}: "
                "episodes that differ go into files of their own"
            )
        if not rising(part.episode, name):
            raise ExportError(f"{name} of {part.episode!r}: timesteps fall, and time must not")
    for part, own in zip(having, found, strict=True):
        own[TIMESTEPS] = _shifted(own[TIMESTEPS], part.shift)
    return {key: _one([part[key] for part in found]) for key in found[0]}


def alike(placed: Sequence[Placed], name: str) -> list[list[Placed]]:
    """The episodes that have a table, those with the same columns together."""
    groups: dict[str, list[Placed]] = {}
    for part in placed:
        if name in part.names:
            groups.setdefault(str(kind_of(columns(part.episode, name))), []).append(part)
    return list(groups.values())


def kind_of(found: Mapping[str, Column]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape of rows of each column."""
    return {key: (str(column.dtype), column.shape[1:]) for key, column in found.items()}


def _shifted(steps: Column, shift: int) -> Column:
    return Column(steps.shape, steps.dtype, lambda a, b: steps.read(a, b) + shift)


def _one(parts: Sequence[Column]) -> Column:
    ends = np.cumsum([len(part) for part in parts])

    def read(first: int, last: int) -> NDArray[Any]:
        found = [parts[0].read(0, 0)]
        number = int(np.searchsorted(ends, first, side="right"))
        while first < last:
            begin = int(ends[number]) - len(parts[number])
            stop = min(last, int(ends[number]))
            if stop > first:
                found.append(parts[number].read(first - begin, stop - begin))
            first, number = stop, number + 1
        return np.concatenate(found)

    return Column((int(ends[-1]), *parts[0].shape[1:]), parts[0].dtype, read)
