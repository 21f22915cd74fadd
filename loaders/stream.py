"""Dense streams as lazy handles: nothing is read before a range is asked for."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from loaders.select import Neurons, row_selection
from loaders.steady import Reader, steady
from recorder.errors import ReadError, TimestepError
from recorder.format.clock import Clock, Rows
from recorder.format.layout import OWN_TIMESTEPS, TIMESTEPS
from recorder.h5.source import RecordingFile, Select, StoredEpisode


class StreamOwner(Reader, Protocol):
    """An episode whose streams these are."""

    def _stored(self) -> StoredEpisode: ...


class StreamData:
    """One stream of an episode, for instance ``neural_states/v``.

    Attributes
    ----------
    name : str
        Path within the episode.
    dtype : numpy.dtype
    shape : tuple of int
        ``(rows, ...)``: the valid rows (those committed, while the episode runs) and a row's shape.
    timesteps : int64 array, shape (rows,)
        A copy; read when it is asked for.
    """

    def __init__(self, episode: StreamOwner, name: str) -> None:
        self._episode = episode
        self.name = name

    @property
    def _recording(self) -> RecordingFile:
        return self._episode._recording

    @property
    @steady
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._episode._stored().need(self.name).dtype
        return dtype

    @property
    @steady
    def shape(self) -> tuple[int, ...]:
        stored = self._episode._stored()
        return (_rows(stored, self.name), *stored.need(self.name).shape[1:])

    @property
    @steady
    def timesteps(self) -> NDArray[np.int64]:
        stored = self._episode._stored()
        return _clock(stored, self.name).values()

    @steady
    def __len__(self) -> int:
        return _rows(self._episode._stored(), self.name)

    @steady
    def read(
        self, start: float | None = None, stop: float | None = None, neurons: Neurons = None
    ) -> NDArray[Any]:
        """Rows whose timestep is in ``start <= timestep < stop``, a fresh array ``(rows, ...)``.

        Parameters
        ----------
        start, stop : number or None
            Timesteps, or real numbers between them; None leaves that side open. The rows may be in any
            order of time.
        neurons : int, slice, sequence of int, bool array or None
            Picks along the first axis of a row, as NumPy does; an int drops that axis.

        Raises
        ------
        IndexError
            ``neurons`` does not fit.
        TimestepError
            A bound is no real number.
        DamagedError
            The stored bytes do not say what they must.
        """
        stored = self._episode._stored()
        rows = _clock(stored, self.name).rows(start, stop)
        return stored.read_at(self.name, rows, _select(stored, self.name, neurons))

    @steady
    def __getitem__(self, rows: int | slice) -> Any:
        """Rows by number, as NumPy slices: ``stream[-100:]``."""
        stored = self._episode._stored()
        count = _rows(stored, self.name)
        if not isinstance(rows, slice):
            number = operator.index(rows)
            if not -count <= number < count:
                raise IndexError(f"row {number} of {count}")
            return stored.read(self.name, number % count, number % count + 1)[0]
        low, high, step = rows.indices(count)
        if step > 0:
            return stored.read(self.name, low, max(low, high))[::step]
        wanted = range(count)[rows]
        if not wanted:
            return stored.read(self.name, 0, 0)
        return stored.read(self.name, wanted[-1], wanted[0] + 1)[::-1][::-step]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(f"{self.name} is read from a file: it cannot become an array without a copy")
        return np.asarray(self.read(), dtype)

    def __repr__(self) -> str:
        return f"<StreamData {self.name}: {self.dtype} {self.shape}>"


class StreamGroup(Mapping[str, StreamData]):
    """The streams of ``neural_states`` or ``behavior`` by key; lazy like they are."""

    def __init__(self, episode: StreamOwner, group: str) -> None:
        self._episode = episode
        self.group = group

    @property
    def _recording(self) -> RecordingFile:
        return self._episode._recording

    @steady
    def __getitem__(self, key: str) -> StreamData:
        if key not in stream_keys(self._episode._stored(), self.group):
            raise KeyError(f"{self.group}/{key}")
        return StreamData(self._episode, f"{self.group}/{key}")

    @steady
    def __iter__(self) -> Iterator[str]:
        return iter(stream_keys(self._episode._stored(), self.group))

    @steady
    def __len__(self) -> int:
        return len(stream_keys(self._episode._stored(), self.group))

    def __repr__(self) -> str:
        return f"<StreamGroup {self.group}: {', '.join(self) or 'empty'}>"


def stream_keys(stored: StoredEpisode, group: str) -> list[str]:
    """Keys of a group's streams: its datasets but for the timesteps."""
    keys = [key for key in stored.keys(group) if key != TIMESTEPS]
    if stored.original:  # which kept no name for itself but "timesteps"
        return keys
    return [key for key in keys if not key.endswith(OWN_TIMESTEPS)]


def read_group(
    stored: StoredEpisode,
    group: str,
    rows: slice,
    *,
    timesteps: tuple[float | None, float | None] | None = None,
    neurons: Neurons = None,
    keys: list[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """``{'timesteps', key: values …}`` of a group; see ``EpisodeData.get_neural_states``."""
    known = stream_keys(stored, group)
    missing = sorted(set(keys or ()) - set(known))
    if missing:
        raise KeyError(
            f"{stored.name}/{group} has no {', '.join(missing)}; it has {', '.join(known) or 'nothing'}"
        )
    wanted = known if keys is None else [key for key in known if key in keys]
    if not known and stored.dataset(f"{group}/{TIMESTEPS}") is None:
        return {}
    shared_path = f"{group}/{TIMESTEPS}"
    paths = {key: f"{group}/{key}" for key in wanted}
    clocks = {key: stored.clock_path(path) for key, path in paths.items()}
    shared = [paths[key] for key in wanted if clocks[key] == shared_path]
    clock = stored.clock(shared_path)
    # While the episode runs, streams end at different rows: all that share a clock end with the shortest.
    count = min([len(clock), *(_rows(stored, path) for path in shared if stored.running)])
    picked = _pick(clock, count, rows, timesteps)
    found = {TIMESTEPS: clock.values(picked)}
    span = _span(found[TIMESTEPS], rows, timesteps)
    for key in wanted:
        select = _select(stored, paths[key], neurons, strict=False)
        if clocks[key] == shared_path:
            found[key] = stored.read_at(paths[key], _within(picked, _rows(stored, paths[key])), select)
            continue
        own = _clock(stored, paths[key]).rows(*span)
        found[key] = stored.read_at(paths[key], own, select)
        found[key + OWN_TIMESTEPS] = stored.clock(clocks[key]).values(own)
    return found


def stream_clock(stored: StoredEpisode, path: str) -> Clock:
    """The timesteps of those rows of a stream that have a value and a timestep."""
    clock, rows = stored.clock(stored.clock_path(path)), _rows(stored, path)
    return clock if len(clock) <= rows else Clock.of([clock.values(slice(0, rows))])


def _pick(clock: Clock, count: int, rows: slice, timesteps: tuple[float | None, float | None] | None) -> Rows:
    if timesteps is not None:
        if not isinstance(timesteps, tuple | list | np.ndarray) or len(timesteps) != 2:
            raise TimestepError("timesteps", "a pair (start, stop)", repr(timesteps)[:80])
        return _within(clock.rows(*timesteps), count)
    low, high, _ = rows.indices(count)
    return slice(low, max(low, high))


def _within(rows: Rows, count: int) -> Rows:
    if isinstance(rows, slice):
        return slice(min(rows.start, count), min(rows.stop, count))
    return rows[rows < count]


def _span(
    chosen: NDArray[np.int64], rows: slice, timesteps: tuple[float | None, float | None] | None
) -> tuple[float | None, float | None]:
    if timesteps is not None:
        return timesteps
    if rows.start is None and rows.stop is None:
        return None, None
    return (int(chosen.min()), int(chosen.max()) + 1) if len(chosen) else (0, 0)


def _rows(stored: StoredEpisode, path: str) -> int:
    # The original system let a key fall behind its timesteps: its columns are what they are.
    return stored.rows(path) if stored.original else stored.aligned_rows(path)


def _clock(stored: StoredEpisode, path: str) -> Clock:
    rows = _rows(stored, path)
    clock = stored.clock(stored.clock_path(path))
    if len(clock) == rows:
        return clock
    if stored.original:
        raise ReadError(f"{stored.name}/{path}: {rows} rows do not line up with {len(clock)} timesteps")
    return Clock.of([clock.values(slice(0, rows))])


def _select(stored: StoredEpisode, path: str, neurons: Neurons, *, strict: bool = True) -> Select:
    shape = stored.need(path).shape[1:]
    if neurons is None or (not shape and not strict):
        return None
    if not shape:
        raise IndexError(f"{path} has one value a row: there are no neurons to pick")
    return row_selection(neurons, shape[0])
