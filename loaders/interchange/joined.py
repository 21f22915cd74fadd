"""Several episodes on one line of time, and their columns one after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.interchange.columns import Column, columns, extent, rising, tables
from loaders.interchange.facts import check_known
from recorder.errors import ExportError
from recorder.format.layout import RUNNING, TIMESTEPS

if TYPE_CHECKING:
    from loaders.episode import EpisodeData


@dataclass(frozen=True)
class Placed:
    """An episode whose timestep ``t`` is ``t + shift`` on the line, where it takes ``start`` to ``stop``.

    ``tables`` are its columns by name, with the rows that were there when it was placed: one that is
    written meanwhile does not grow.
    """

    episode: EpisodeData
    tables: Mapping[str, Mapping[str, Column]]
    shift: int
    start: int
    stop: int


def in_line(episodes: Sequence[EpisodeData], only: Collection[str] | None = None) -> list[Placed]:
    """The first episode at its own timesteps, each other one where the one before it ends.

    Of their tables those in ``only``; raises KeyError where none of them has one of these.
    """
    placed: list[Placed] = []
    all_names: list[str] = []
    for episode in episodes:
        # What is written does not end where it will, and the original system's files do not say where
        # events and weight changes end: then it is in the columns, of all tables.
        known = episode.status != RUNNING and not episode._stored().original
        names = tables(episode)
        all_names += names
        wanted = names if only is None or not known else [name for name in names if name in only]
        found = {name: columns(episode, name) for name in wanted}
        low, high = (episode.span() if known else _extent(found)) or (0, 0)
        shift = placed[-1].stop - low if placed else 0
        if not -(2**63) <= low + shift <= high + shift < 2**63:
            raise ExportError(f"{episode!r}: its timesteps, after those of the others, are beyond int64")
        placed.append(Placed(episode, found, shift, low + shift, high + shift))
    check_known(list(episodes), only, all_names, "only")
    if only is None:
        return placed
    return [
        replace(part, tables={name: own for name, own in part.tables.items() if name in only})
        for part in placed
    ]


def joined(placed: Sequence[Placed], name: str) -> dict[str, Column]:
    """The columns of a table that all of these have, one after the other, ``timesteps`` on the line.

    Raises
    ------
    ExportError
        Episodes differ in columns, dtypes or shapes of rows, or timesteps fall.
    """
    found = [dict(part.tables[name]) for part in placed]
    kinds = [kind_of(part) for part in found]
    for part, own, kind in zip(placed, found, kinds, strict=True):
        if kind != kinds[0]:
            raise ExportError(
                f"{name} of {part.episode!r} has {kind}, that of {placed[0].episode!r} {kinds[0]}: "
                "episodes that differ go into files of their own"
            )
        check_rising(part, name)
        own[TIMESTEPS] = _shifted(own[TIMESTEPS], part.shift)
    return {key: _one([part[key] for part in found]) for key in found[0]}


def check_rising(part: Placed, name: str) -> None:
    """Raise ExportError where timesteps of a table fall."""
    if not rising(part.tables[name][TIMESTEPS]):
        raise ExportError(f"{name} of {part.episode!r}: timesteps fall, and time must not")


def alike(placed: Sequence[Placed], name: str) -> list[list[Placed]]:
    """The episodes that have a table, those with the same columns together."""
    groups: dict[str, list[Placed]] = {}
    for part in placed:
        if name in part.tables:
            groups.setdefault(str(kind_of(part.tables[name])), []).append(part)
    return list(groups.values())


def _extent(found: Mapping[str, Mapping[str, Column]]) -> tuple[int, int] | None:
    ends = [own for table in found.values() if (own := extent(table[TIMESTEPS]))]
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None


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
