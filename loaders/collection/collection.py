"""The recordings below a folder as one table, to be filtered, sorted, compared and opened."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self, TypeVar, overload

from loaders.collection.facts import COLUMNS, UNREADABLE, facts_of
from loaders.collection.fan import map_episodes
from loaders.collection.frame import frame
from loaders.collection.index import Index, index_path, kept, stamp_of
from loaders.collection.lazy import arrays
from loaders.collection.readable import Unreadable, readable
from loaders.collection.reading import read_rows
from loaders.collection.run import Run
from loaders.collection.values import alike, ordered
from loaders.episode import EpisodeData
from loaders.find import recordings
from loaders.summary import align
from recorder.format.layout import RUNNING

T = TypeVar("T")

_SHOWN = 20
_PASSING = (UNREADABLE, RUNNING)
"""What a recording may cease to be without a change of its file."""
_MANY = 64
"""Recordings to be read from which on a bar shows how far that is."""


class ExperimentCollection(Sequence[Run]):
    """All recordings below a folder, in the order of their paths; nothing is repaired or changed.

    The table is read when it is first looked at, and again by :meth:`refresh`. What was read of ended
    recordings is kept in the user's cache (``$XDG_CACHE_HOME/flightrec``), so that the next time only
    those are opened that are new or have changed.

    Parameters
    ----------
    folder : path
    index : bool, default True
        Whether to use and write that cache.
    workers : int, optional
        Processes that read what is not in the cache. By default this one alone while that takes a second or
        two, and as many as there are cores for it otherwise. What they read is the same.

    Raises
    ------
    ValueError
        Fewer than one worker.
    NotADirectoryError
        The folder is none, or is not there.

    Examples
    --------
    >>> runs = ExperimentCollection("experiments")  # doctest: +SKIP
    >>> best = runs.filter(status="completed").sort("mean_reward", descending=True)[0]  # doctest: +SKIP
    >>> best["config.lr"], best.load().episodes  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] = "experiments",
        *,
        index: bool = True,
        workers: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        # A program that changes its working folder goes on with these recordings.
        self._place = self.folder.absolute()
        if not self.folder.is_dir():
            raise NotADirectoryError(f"{self.folder} is no folder")
        if workers is not None and workers < 1:
            raise ValueError(f"workers: one at least, not {workers}")
        self._workers = workers
        self._index = Index(index_path(self._place) if index else None)
        self._runs: list[Run] | None = None
        self._known: set[str] = set()
        """Of a part of a collection, the columns of the whole."""

    def _of(self, runs: Iterable[Run]) -> Self:
        made = copy.copy(self)
        made._known = self._known or set(self.columns)
        made._runs = list(runs)
        return made

    @property
    def runs(self) -> list[Run]:
        """The recordings."""
        if self._runs is None:
            self._runs = self._read()
        return self._runs

    def refresh(self) -> None:
        """Look at the folder anew; of a filtered or sorted collection, only at its recordings."""
        if self._runs is None:
            return
        whole = {run.name: run for run in self._read()}
        self._known = self._known and self._known | {key for run in whole.values() for key in run}
        self._runs = [whole[run.name] for run in self._runs if run.name in whole]

    def _read(self) -> list[Run]:
        from tqdm import tqdm

        known = self._index.load()
        found: dict[str, tuple[Path, dict[str, Any] | None, str | None]] = {}
        for file in recordings(self._place):
            name = self._name(file)
            try:
                stamp = stamp_of(file)
            except FileNotFoundError:
                continue
            fits = name in known and stamp is not None and known[name][0] == stamp
            found[name] = file, known[name][1] if fits else None, stamp
        unread = {file: name for name, (file, row, _) in found.items() if row is None}
        with (
            kept(self._index, known.keys() - found.keys()) as keep,
            contextlib.closing(read_rows(list(unread), facts_of, self._workers)) as rows,
        ):
            for file, row in tqdm(
                rows,
                "reading recordings",
                len(unread),
                disable=None if len(unread) > _MANY else True,
                delay=1.0,
            ):
                name = unread[file]
                stamp = found[name][2]
                if row is None:
                    del found[name]
                    continue
                # One that changed while it was read is read again the next time.
                if stamp is not None and row["status"] not in _PASSING and _is_still(file, stamp):
                    keep(name, stamp, row)
                found[name] = file, row, stamp
        empty = dict.fromkeys(COLUMNS)
        return [Run(file, empty | (row or {}) | {"name": name}) for name, (file, row, _) in found.items()]

    def _name(self, file: Path) -> str:
        place = file.parent
        return str(place.relative_to(self._place)) if place != self._place else place.resolve().name

    @overload
    def __getitem__(self, index: int | str) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | str | slice) -> Run | Self:
        """A recording by its place or its name; a slice is a collection."""
        if isinstance(index, slice):
            return self._of(self.runs[index])
        if isinstance(index, str):
            for run in self.runs:
                if run.name == index:
                    return run
            raise KeyError(f"no recording {index!r} in {self.folder}")
        return self.runs[index]

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    @property
    def columns(self) -> list[str]:
        """Names of all columns that some recording has, those of every one first."""
        return list(dict.fromkeys([*COLUMNS, *(key for run in self.runs for key in run)]))

    def _require(self, column: str) -> None:
        known = self._known or set(self.columns)
        if self.runs and column not in known:
            near = get_close_matches(column, known, n=3)
            hint = f"; there is {' and '.join(near)}" if near else ""
            raise KeyError(f"no recording has a column {column!r}{hint}")

    def filter(self, condition: Callable[[Run], Any] | None = None, /, **columns: Any) -> Self:
        """Those for which ``condition`` holds and whose columns have these values.

        Parameters
        ----------
        condition : callable, optional
            Told a :class:`Run`.
        **columns
            Values by column; ``**{"config.lr": 0.1}`` for names with dots. Numbers are compared across types,
            lists, tuples and arrays element by element; NaN equals NaN. A callable is told the value (None
            where there is none).

        Raises
        ------
        KeyError
            A value is asked for, not None, of a column that no recording has.
        """
        for key, wanted in columns.items():
            if wanted is not None and not callable(wanted):
                self._require(key)

        def fits(run: Run) -> bool:
            for key, wanted in columns.items():
                value = run.get(key)
                if not (wanted(value) if callable(wanted) else alike(value, wanted)):
                    return False
            return condition is None or bool(condition(run))

        return self._of(filter(fits, self.runs))

    def sort(self, column: str | Callable[[Run], Any], *, descending: bool = False) -> Self:
        """By a column, or what a callable makes of each :class:`Run`; those without a value come last.

        Numbers come before texts, and these before what is of other types, whichever way each is sorted;
        lists and arrays go by their first elements that differ. NaN comes behind all other values.

        Raises
        ------
        KeyError
            No recording has such a column.
        OptionError
            Values have no order, such as mappings.
        """
        if not callable(column):
            self._require(column)
        value = column if callable(column) else lambda run: run.get(column)
        return self._of(ordered(self.runs, value, descending=descending))

    def compare(self, *names: str) -> dict[str, dict[str, Any]]:
        """Where configurations differ: for each key the value of every recording, None where it has none.

        Values differ as for :meth:`filter`, so 1 and 1.0 do not; ``flightrec diff`` tells types apart too.

        Parameters
        ----------
        *names : str
            Of the recordings; all by default.
        """
        chosen = [self[name] for name in names] if names else self.runs
        keys = dict.fromkeys(key for run in chosen for key in run.config)
        found = {key: {run.name: run.config.get(key) for run in chosen} for key in keys}
        return {key: row for key, row in found.items() if _differ(list(row.values()))}

    def map_episodes(
        self, function: Callable[[EpisodeData], T], client: Any = None, *, unreadable: Unreadable = "raise"
    ) -> dict[tuple[str, int], T]:
        """What ``function`` returns of every episode, by the recording's name and the episode's id.

        Parameters
        ----------
        function : callable
            Told an :class:`EpisodeData`, of use only while it runs: each recording is opened once for all of
            its episodes, on a cluster once a task of some. There it is pickled, and so is what it returns.
        client : dask.distributed.Client, optional
            Whose workers do it, each with files of its own opened by path: they must see them where this
            process does. Without one it is done here, one after the other.
        unreadable : {"raise", "skip"}
            Of recordings that cannot be opened: an error that names them before anything is done, or a
            warning, and the others' results.

        Raises
        ------
        ReadError
            A recording cannot be read.
        Exception
            What ``function`` raised, with a note that says of which episode.
        """
        return map_episodes(readable(self.runs, unreadable), function, client)

    def to_dask(
        self, stream: str, *, rows: int = 100_000, unreadable: Unreadable = "raise"
    ) -> dict[tuple[str, int], Any]:
        """A stream of all episodes as lazy ``dask.array.Array``, by the recording's name and episode's id.

        Parameters
        ----------
        stream : str
            As :meth:`EpisodeData.stream` takes it: ``"neural_states/v"``. Episodes without it are left out.
        rows : int
            Of a chunk; -1: one chunk has all of an episode.
        unreadable : {"raise", "skip"}
            As of :meth:`map_episodes`.

        Raises
        ------
        OptionError
            No such number of rows.
        ReadError
            A recording cannot be read.
        ReplacedError
            When they are computed: another recording is there by now.
        ImportError
            Dask is not installed.
        """
        return arrays(readable(self.runs, unreadable), stream, rows)

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with one row per recording, indexed by ``name``; fresh.

        Integers of a column that pandas would round, as some recordings have none, stay Python's. Bytes of
        names that are not UTF-8 are written as escapes: ``run\\udcff``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return frame(self.runs, self.columns)

    def __repr__(self) -> str:
        if not self.runs:
            return f"no recordings below {self.folder}"
        shown = ["name", "status", "episodes", "steps", "start_time", "mean_reward"]
        rows = [
            ["" if run.get(key) is None else _text(run[key]) for key in shown] for run in self.runs[:_SHOWN]
        ]
        lines = align([shown, *rows])
        if len(self) > _SHOWN:
            lines.append(f"… {len(self) - _SHOWN:,} more …")
        return "\n".join(lines)


def _is_still(file: Path, stamp: str) -> bool:
    try:
        return stamp_of(file) == stamp
    except FileNotFoundError:
        return False


def _differ(values: list[Any]) -> bool:
    return any(not alike(values[0], other) for other in values[1:])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)[:40]
