"""What an episode holds as columns of rows: their shape and dtype at once, their values by ranges of rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loaders.between import weights_between
from loaders.events import Event
from loaders.stream import stream_clock
from loaders.weights import by_time
from recorder.errors import ReadError
from recorder.format.clock import Clock
from recorder.format.document import dumps
from recorder.format.layout import EVENTS, REWARDS, SPIKES, TIMESTEPS, WEIGHT_CHANGES
from recorder.h5.source import SpikeRows, event_rows, iter_events, weight_clock, weight_columns, weight_rows

if TYPE_CHECKING:
    from loaders.episode import EpisodeData

BLOCK_BYTES = 8 << 20
"""What is read at once of a recording that goes elsewhere."""
_SPIKES = 1 << 20
_CELLS = 1 << 26
"""Rows times neurons that are read at once at most, should all of a sudden all neurons fire."""
_FIRST_ROWS = 1024
_EVENTS = 10_000

Block = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Column:
    """Rows of one thing: ``read(first, last)`` gives those rows, fresh, ``(last - first, *shape[1:])``."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[int, int], NDArray[Any]]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


def tables(episode: EpisodeData) -> list[str]:
    """Names of all that has rows: streams, ``spikes``, ``rewards``, ``weight_changes`` and ``events``."""
    found = list(episode.streams)
    if episode.n_neurons is not None:
        found.append(SPIKES)
    if episode.get_rewards(0, 0):
        found.append(REWARDS)
    if episode.get_weight_changes(0, 0):
        found.append(WEIGHT_CHANGES)
    if next(episode.iter_events(last=1), None) is not None:
        found.append(EVENTS)
    return found


def check_name(episode: EpisodeData, name: str) -> None:
    """Raise KeyError where :func:`tables` does not have it."""
    if name not in (known := tables(episode)):
        raise KeyError(f"{episode!r} has no {name!r}; it has {', '.join(known) or 'nothing'}")


def columns(episode: EpisodeData, name: str) -> dict[str, Column]:
    """``{'timesteps': …, key: …}`` of a dense stream, rewards, weight changes (by time) or events.

    Of ``spikes`` the raster, as ``spikes``; of events as :func:`blocks` has them.
    """
    return episode._recording.steady(lambda: _columns(episode, name))


def _columns(episode: EpisodeData, name: str) -> dict[str, Column]:
    steady = episode._recording.steady
    if name == WEIGHT_CHANGES:
        return _weights(episode)
    if name == EVENTS:
        return _events(episode)
    if name == SPIKES:
        fired = _kept(episode, lambda: _there(episode._spikes(), name))
        shape = (len(fired().clock()), fired().n_neurons)
        dtype = fired().dtype
        found = Column(shape, dtype, lambda a, b: steady(lambda: _raster(fired(), a, b)))
        return {TIMESTEPS: _clocked(episode, shape[0], lambda: fired().clock()), SPIKES: found}
    if name == REWARDS:
        given = _kept(episode, lambda: _there(episode._rewards(), name))
        rows = len(given().clock())
        dtype = given().read(0, 0).dtype
        found = Column((rows,), dtype, lambda a, b: steady(lambda: given().read(a, b)))
        return {TIMESTEPS: _clocked(episode, rows, lambda: given().clock()), REWARDS: found}
    stream = episode.stream(name)
    rows = len(stream_clock(episode._stored(), name))
    if not episode._stored().running and len(stream) != rows:
        raise ReadError(f"{episode!r}: {name} has {len(stream)} rows and {rows} timesteps")
    found = Column((rows, *stream.shape[1:]), stream.dtype, lambda a, b: stream[a:b])
    steps = _clocked(episode, rows, lambda: stream_clock(episode._stored(), name))
    return {TIMESTEPS: steps, name.partition("/")[2]: found}


def blocks(episode: EpisodeData, name: str, rows: int | None = None) -> Iterator[Block]:
    """The rows of a table, some at a time, in the order of :meth:`EpisodeData.get_spikes` and the like.

    Spikes as ``timesteps``, ``neuron_ids`` and the ``values`` of graded ones; events as ``timesteps``,
    ``type`` and ``data``, the last as text, a document of the file's format. One block without rows where
    there are none. Of spikes those of the raster's first ``rows`` rows.
    """
    if name == SPIKES:
        yield from _spike_blocks(episode, rows)
    elif name == EVENTS:
        events = episode.iter_events()
        yield _event_block(itertools.islice(events, _EVENTS))
        while len((block := _event_block(itertools.islice(events, _EVENTS)))[TIMESTEPS]):
            yield block
    else:
        found = columns(episode, name)
        least = min(len(column) for column in found.values())
        for first, last in spans(least, sum(column.row_bytes for column in found.values())):
            yield {key: column.read(first, last) for key, column in found.items()}


def rising(steps: Column) -> bool:
    """Whether no timestep of a table is less than the one before it."""
    newest: int | None = None
    for first, last in spans(len(steps), steps.row_bytes):
        values = steps.read(first, last)
        if (np.diff(values) < 0).any() or (newest is not None and len(values) and values[0] < newest):
            return False
        newest = int(values[-1]) if len(values) else newest
    return True


def extent(steps: Column) -> tuple[int, int] | None:
    """``(start, stop)`` of timesteps; None of none."""
    if not len(steps):
        return None
    parts = (steps.read(first, last) for first, last in spans(len(steps), steps.row_bytes))
    lows, highs = zip(*((int(part.min()), int(part.max())) for part in parts), strict=True)
    return min(lows), max(highs) + 1


def spans(rows: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that are no more than ``BLOCK_BYTES`` each; at least one, which may be empty."""
    size = max(1, BLOCK_BYTES // max(1, row_bytes))
    for first in range(0, max(rows, 1), size):
        yield first, min(first + size, rows)


def together(parts: Iterator[Block]) -> Block:
    """All blocks as one."""
    found = list(parts)
    return {key: np.concatenate([part[key] for part in found]) for key in found[0]}


def _kept(episode: EpisodeData, source: Callable[[], Any]) -> Callable[[], Any]:
    # Asked for anew each time, as a file that is being written is replaced, and every process has its own.
    # The original system's files give arrays, which are made once.
    if not episode._stored().original:
        return source
    made = episode._recording.steady(source)
    return lambda: made


def _clocked(episode: EpisodeData, rows: int, clock: Callable[[], Clock]) -> Column:
    def read(first: int, last: int) -> NDArray[np.int64]:
        return episode._recording.steady(lambda: clock().values(slice(first, last)))

    return Column((rows,), np.dtype(np.int64), read)


def _there(source: Any, name: str) -> Any:
    if source is None:
        raise ReadError(f"the {name} that were there are gone: another program changed the file")
    return source


def _raster(source: SpikeRows, first: int, last: int) -> NDArray[Any]:
    spikes = source.read(first, last)
    raster = np.zeros((max(0, last - first), source.n_neurons), source.dtype)
    raster[spikes.rows - first, spikes.neurons] = 1 if spikes.values is None else spikes.values
    return raster


def _weights(episode: EpisodeData) -> dict[str, Column]:
    stored = episode._stored()
    if stored.original or not weight_clock(stored).ascending:
        # By time they are only when all are known.
        return _held(episode.get_weight_changes())
    heads = by_time(weights_between(stored, 0, 0))
    return _parts(
        episode, weight_rows(stored), heads, lambda a, b: by_time(weight_columns(episode._stored(), a, b))
    )


def _events(episode: EpisodeData) -> dict[str, Column]:
    stored = episode._stored()
    if stored.original:
        return _held(_event_block(episode.iter_events()))
    return _parts(
        episode,
        event_rows(stored),
        _event_block(()),
        lambda a, b: _event_block(iter_events(episode._stored(), a, b)),
    )


def _event_block(events: Iterable[Event]) -> Block:
    rows = list(events)
    steps, kinds, data = zip(*rows, strict=True) if rows else ((), (), ())
    return {
        TIMESTEPS: np.array(steps, np.int64),
        "type": _texts(kinds),
        "data": _texts(tuple(dumps(item).decode("ascii") for item in data)),
    }


def _parts(
    episode: EpisodeData, rows: int, heads: Block, read: Callable[[int, int], Block]
) -> dict[str, Column]:
    """Columns of what is read all at once; ``heads`` say their dtypes and the shapes of their rows."""
    steady = episode._recording.steady
    return {
        key: Column(
            (rows, *head.shape[1:]),
            head.dtype,
            lambda a, b, key=key: steady(lambda: read(a, b)[key]),  # type: ignore[misc]
        )
        for key, head in heads.items()
    }


def _held(block: Block) -> dict[str, Column]:
    return {
        key: Column(values.shape, values.dtype, lambda a, b, values=values: values[a:b].copy())  # type: ignore[misc]
        for key, values in block.items()
    }


def _spike_blocks(episode: EpisodeData, rows: int | None) -> Iterator[Block]:
    steady = episode._recording.steady
    source_of = steady(lambda: _kept(episode, lambda: _there(episode._spikes(), SPIKES)))

    def part(first: int, last: int) -> Block:
        source = source_of()
        spikes = source.read(first, last)
        found = {TIMESTEPS: source.clock().put_values(spikes.rows), "neuron_ids": spikes.neurons}
        return found if spikes.values is None else found | {"values": spikes.values}

    total, width = steady(lambda: (len(source_of().clock()), source_of().n_neurons))
    total = total if rows is None else rows
    first, size, most = 0, _FIRST_ROWS, max(_FIRST_ROWS, _CELLS // width)
    while True:
        last = min(first + size, total)
        block = steady(lambda a=first, b=last: part(a, b))  # type: ignore[misc]
        yield block
        first = last
        if first >= total:
            return
        # So many rows at a time as make a good number of spikes at the rate of the last ones.
        count = len(block[TIMESTEPS])
        size = min(size * 2, most) if count < _SPIKES // 2 else max(1, size // 2) if count > _SPIKES else size


def _texts(texts: tuple[str, ...]) -> NDArray[Any]:
    column = np.empty(len(texts), object)
    column[:] = texts
    return column
