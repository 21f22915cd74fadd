"""One stored episode: its datasets, how many of their rows are valid, and their clocks."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.clock import Clock, Rows
from recorder.format.layout import COMMITTED, COUNTER, EPISODES, TIMESTEPS, episode_path
from recorder.h5.reading.chunks import KeptChunks, Select
from recorder.h5.reading.clocks import KnownTimesteps, read_clock
from recorder.h5.reading.guard import (
    attribute,
    attributes,
    away,
    child_group,
    damage,
    hard_link,
    links,
    names,
    stored_dataset,
)
from recorder.h5.reading.hints import hinted_clock
from recorder.h5.reading.rows import read_at, read_rows

_DIGITS = 20
"""Ids are below 2**63; Python refuses to make an int of a name of thousands of digits."""


class StoredEpisode:
    """An episode's group. Shapes are trusted only once ``committed`` is gone (specification, section 6).

    Attributes
    ----------
    name : str
        Path of the group, for messages.
    original : bool
        Whether the layout is the original system's.

    Parameters
    ----------
    file : h5py.File or None
        The open file, whose bytes are read past HDF5 where it and the episode allow that.
    known : KnownTimesteps or None
        What its other episodes have in common with this one.
    """

    def __init__(
        self, group: Any, *, original: bool = False, file: Any = None, known: KnownTimesteps | None = None
    ) -> None:
        self.group, self.original = group, original
        self.name = str(group.name)
        self.cache: dict[Any, Any] = {}
        self._known = known or KnownTimesteps()
        self._datasets: dict[str, Any] = {}
        self._groups: dict[str, Any] = {}
        self._addresses: set[int] = set()
        self._listed: dict[str, dict[str, int | None]] = {}
        self._committed: NDArray[np.int64] | None = None
        self._committed = self._counters()
        self.kept = KeptChunks(file) if self._committed is None else None

    @property
    def running(self) -> bool:
        """Whether the episode has not ended, as far as this file handle sees."""
        return self._committed is not None

    def _counters(self) -> NDArray[np.int64] | None:
        counters = self.dataset(COMMITTED)
        if counters is None or len(counters.shape) != 1:
            return None
        # Read before any extent or chunk: those are never older than the counters then.
        return read_rows(counters, 0, counters.shape[0]).astype(np.int64)

    def attributes(self) -> dict[str, Any]:
        """The group's attributes as Python values."""
        return attributes(self.group)

    def facts(self, path: str) -> dict[str, Any]:
        """The attributes of a group below the episode as Python values; {} without that group."""
        found: dict[str, Any] | None = self.cache.get(("facts", path))
        if found is None:
            group = self.subgroup(path)
            found = {} if group is None else attributes(group)
            if not self.running:
                self.cache["facts", path] = found
        return found

    def subgroup(self, path: str) -> Any | None:
        """A group below the episode, or None; kept for the next call."""
        if path not in self._groups:
            above, _, name = path.rpartition("/")
            group = self.subgroup(above) if above else self.group
            found = None if group is None else child_group(group, name, f"{self.name}/{path}")
            if found is None:
                return None
            self._groups[path] = found
        return self._groups[path]

    def keys(self, path: str) -> list[str]:
        """Names of the datasets in a group below the episode, sorted; [] without that group."""
        return [name for name in sorted(self._links(path)) if self.dataset(f"{path}/{name}") is not None]

    def groups(self, path: str = "") -> list[str]:
        """Names of the groups in a group below the episode (or in itself), sorted."""
        group = self.subgroup(path) if path else self.group
        return (
            [] if group is None else [name for name in names(group) if child_group(group, name) is not None]
        )

    def dataset(self, path: str) -> Any | None:
        """A dataset below the episode, or None; guarded, and kept for the next call."""
        if path not in self._datasets:
            above, _, name = path.rpartition("/")
            group = self.subgroup(above) if above else self.group
            if group is None:
                return None
            where = f"{self.name}/{path}"
            address = self._address(group, above, name, where)
            found = None if address is None else stored_dataset(group, name, where)
            if found is None:
                return None
            if address in self._addresses:
                raise DamagedError(f"{where[:200]}: stands in two places, as nothing in a recording does")
            self._addresses.add(address)
            self._datasets[path] = found
        return self._datasets[path]

    def _address(self, group: Any, above: str, name: str, where: str) -> Any:
        """Where the object ``name`` of a group of the episode stands in the file; None if it is not there."""
        if not above or self.running:
            return hard_link(group, name, where)
        found = self._links(above)
        if name in found and found[name] is None:
            raise away(where)
        return found.get(name)

    def _links(self, path: str) -> dict[str, int | None]:
        """Names in a group below the episode, and where they lead; {} without that group."""
        if path not in self._listed or self.running:
            group = self.subgroup(path)
            if group is None:
                return {}
            with damage(group):
                self._listed[path] = dict(links(group))
        return self._listed[path]

    def need(self, path: str) -> Any:
        """As :meth:`dataset`.

        Raises
        ------
        DamagedError
            It is missing.
        """
        dataset = self.dataset(path)
        if dataset is None:
            raise DamagedError(f"{self.name}/{path} is missing")
        return dataset

    def rows(self, path: str) -> int:
        """Valid rows of a dataset that must be there, at the latest when the episode ends."""
        if self.running and self.dataset(path) is None:
            return 0
        dataset = self.need(path)
        with damage(dataset.name):
            if not dataset.shape:
                raise DamagedError(f"{dataset.name} has no rows")
            if self._committed is None or (said := attribute(dataset, COUNTER)) is None:
                return int(dataset.shape[0])
            counter = int(said)
            if not 0 <= counter < len(self._committed):
                raise DamagedError(f"{dataset.name}: counter {counter} of {len(self._committed)}")
            return max(0, min(int(self._committed[counter]), int(dataset.shape[0])))

    def read(self, path: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Rows of a dataset that must be there, by default all valid ones."""
        stop = self.rows(path) if stop is None else stop
        if start == stop and self.dataset(path) is None:
            return np.empty(0, np.int64)
        return read_rows(self.need(path), start, stop, kept=self.kept)

    def read_at(self, path: str, rows: Rows, select: Select = None) -> NDArray[Any]:
        """As :func:`recorder.h5.reading.rows.read_at`, for a dataset that must be there."""
        return read_at(self.need(path), rows, select, self.kept)

    def clock(self, path: str) -> Clock:
        """The timesteps in the dataset ``path``, kept while their number stays the same."""
        count = self.rows(path)
        kept = self.cache.get(("clock", path))
        if isinstance(kept, Clock) and len(kept) == count:
            return kept
        if not count:
            return Clock()
        dataset = self.need(path)
        if dataset.dtype.kind not in "iu" or len(dataset.shape) != 1:
            raise DamagedError(f"{dataset.name} holds no timesteps: {dataset.dtype} of shape {dataset.shape}")
        clock = None
        if self.kept is not None and not self.original:
            clock = hinted_clock(dataset, count, self.kept, self._known)
        if clock is None:
            clock = read_clock(dataset, count, self.kept, self._known)
        self.cache["clock", path] = clock
        return clock

    def clock_path(self, path: str) -> str:
        """Path of the timesteps that a stream's attribute ``timesteps`` names."""
        kept = self.cache.get(("clock path", path))
        if kept is not None:
            return str(kept)
        dataset = self.need(path)
        with damage(dataset.name):
            named = attribute(dataset, TIMESTEPS)
            named = TIMESTEPS if named is None else named
            if not isinstance(named, str) or "/" in named:
                raise DamagedError(f"{dataset.name}: its timesteps are named {named!r}")
        found = f"{path.rpartition('/')[0]}/{named}"
        if not self.running:
            self.cache["clock path", path] = found
        return found

    def aligned_rows(self, path: str) -> int:
        """Rows of a stream that have both a value and a timestep.

        Raises
        ------
        DamagedError
            An ended episode has another number of values than of timesteps.
        """
        values, steps = self.rows(path), self.rows(self.clock_path(path))
        if values != steps and not self.running:
            raise DamagedError(f"{self.name}/{path}: {values} rows, but {steps} timesteps")
        return min(values, steps)


class EpisodeIndex:
    """The episodes of one open file, listed when that is asked for; each is opened by its own name alone.

    It holds for as long as the handle does: a living file is opened anew for what changed.
    """

    def __init__(self, file: Any) -> None:
        self._file, self._known = file, KnownTimesteps()
        self._group = child_group(file, EPISODES)

    @cached_property
    def ids(self) -> dict[int, str]:
        """Ids of all episodes, ascending, and the names of their groups; of two, the writer's counts."""
        found: dict[int, str] = {}
        for name in [] if self._group is None else names(self._group):
            text = name.removeprefix("episode_")
            if text == name or not (text.isascii() and text.isdigit()) or len(text) >= _DIGITS:
                continue
            number = int(text)
            if number not in found or name == _name_of(number):
                found[number] = name
        return dict(sorted(found.items()))

    def open(self, episode_id: int, *, original: bool) -> StoredEpisode | None:
        """The episode's stored form, or None."""
        if self._group is None or not 0 <= episode_id < 10**_DIGITS:
            return None
        # The name that a writer gives it needs no list of the others, of which there may be many.
        group = child_group(self._group, _name_of(episode_id))
        if group is None and episode_id in self.ids:
            group = child_group(self._group, self.ids[episode_id])
        if group is None:
            return None
        return StoredEpisode(group, original=original, file=self._file, known=self._known)


def _name_of(episode_id: int) -> str:
    """The name of an episode's group as it is written; readers take others with leading zeros as well."""
    return episode_path(episode_id).rpartition("/")[2]
