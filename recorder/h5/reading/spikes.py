"""Spikes of a range of rows, from either encoding, decoding no more than that range."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.clock import Clock
from recorder.format.layout import ENCODING, SPIKES, SPIKES_EVENTS, SPIKES_INTERVALS
from recorder.format.spikes import SILENCE, decode_cells
from recorder.h5.reading.budget import check_size
from recorder.h5.reading.episode import StoredEpisode
from recorder.h5.reading.guard import damage
from recorder.h5.reading.rows import read_blocks

_BLOCK = 4 << 20
_PIECE = 1 << 15
_MAX_NEURONS = 1 << 40
"""Beyond this, the cells of some million rows could not be counted in 64 bits."""


class SpikeSlice(NamedTuple):
    """Spikes in call order: ``rows`` and ``neurons`` int64 ``(spikes,)``, ``values`` of graded ones."""

    rows: NDArray[np.int64]
    neurons: NDArray[np.int64]
    values: NDArray[Any] | None


class SpikeRows(Protocol):
    """Spikes by logged row, whatever the encoding."""

    n_neurons: int
    dtype: np.dtype[Any]
    """What a dense row would have: the logged dtype, bool for index lists."""

    def clock(self) -> Clock:
        """Timesteps of all rows that are complete, those without spikes included where they are known."""
        ...

    def read(self, first: int, last: int) -> SpikeSlice:
        """Spikes of rows ``first`` to ``last``."""
        ...


class _Stored:
    def __init__(self, stored: StoredEpisode) -> None:
        facts = stored.facts(SPIKES)
        n_neurons = facts.get("n_neurons")
        if not isinstance(n_neurons, int) or not 1 <= n_neurons <= _MAX_NEURONS:
            raise DamagedError(f"{stored.name}/{SPIKES}: n_neurons is {n_neurons!r}")
        self.stored = stored
        self.n_neurons = n_neurons
        self.dtype = _logged_dtype(facts.get("dtype"), stored)
        step = facts.get("anchor_rows")
        self.anchor_rows = step if isinstance(step, int) and step > 0 else 0

    def _rows(self, name: str) -> int:
        # A dataset without rows may be missing: an episode can be silent from end to end.
        return self.stored.rows(f"{SPIKES}/{name}") if self._has(name) else 0

    def _has(self, name: str) -> bool:
        return self.stored.dataset(f"{SPIKES}/{name}") is not None

    def _read(self, name: str, start: int, stop: int) -> NDArray[Any]:
        if not self._has(name) and start == stop:
            return np.empty(0, np.int64)
        return self.stored.read(f"{SPIKES}/{name}", start, stop)

    def _damaged(self, what: str) -> DamagedError:
        return DamagedError(f"{self.stored.name}/{SPIKES}: {what}")


class IntervalSpikes(_Stored):
    """``format = "intervals"``: silent cells between spikes, with anchors for slices."""

    def clock(self) -> Clock:
        """Timesteps of the complete rows; in a running episode those that the intervals cover."""
        whole = self.stored.clock(f"{SPIKES}/timesteps")
        if len(whole) * self.n_neurons >= 1 << 63:
            raise self._damaged(f"{len(whole):,} rows of {self.n_neurons:,} neurons cannot be")
        if not self.stored.running:
            return whole
        rows = min(len(whole), self._covered() // self.n_neurons)
        return whole if rows == len(whole) else Clock.of([whole.values(slice(0, rows))])

    def read(self, first: int, last: int) -> SpikeSlice:
        """Spikes of rows ``first`` to ``last``, decoded from the anchor before ``first``."""
        items = self._rows("intervals")
        item, cell = self._anchor(first, items, after=False)
        end, _ = self._anchor(last, items, after=True)
        if last <= first:
            end = item
        rows, neurons = self._decode(item, max(item, end), cell)
        beyond = len(rows) and (rows[0] < 0 or rows[-1] >= self._rows("timesteps"))
        if beyond and not self.stored.running:
            raise self._damaged("there are spikes after the last row")
        low, high = (int(i) for i in np.searchsorted(rows, (first, last)))
        values = None
        if self._has("values"):
            before = self._spikes_before(item, items) + low
            if before + high - low > self._rows("values"):
                raise self._damaged("fewer values than spikes")
            values = self._read("values", before, before + high - low)
        return SpikeSlice(rows[low:high], neurons[low:high], values)

    def _decode(self, item: int, end: int, cell: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and neuron of each spike of these intervals, before which ``cell`` cells are covered."""
        if end == item:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        with damage(self.stored.name):
            check_size(self.stored.need(f"{SPIKES}/intervals"), (end - item) * np.dtype(np.uint32).itemsize)
        rows, neurons = np.empty(end - item, np.int64), np.empty(end - item, np.int64)
        count = 0
        for low in range(item, end, _BLOCK):
            block = self._read("intervals", low, min(low + _BLOCK, end)).astype(np.uint32, copy=False)
            # In pieces that stay in the processor's cache on their way from intervals to rows and neurons.
            for start in range(0, len(block), _PIECE):
                piece = block[start : start + _PIECE]
                cells = decode_cells(piece, cell)
                cell = int(cells[-1]) + 1 if len(cells) == len(piece) else cell + _cells(piece)
                row, neuron = (of[count : count + len(cells)] for of in (rows, neurons))
                # Twice as fast as divmod: by one divisor, NumPy divides many numbers at once.
                np.floor_divide(cells, self.n_neurons, out=row)
                np.multiply(row, -self.n_neurons, out=neuron)
                neuron += cells
                count += len(cells)
        return rows[:count], neurons[:count]

    def _anchor(self, row: int, items: int, *, after: bool) -> tuple[int, int]:
        """(item, cell) of the last anchor at or before ``row``, or of the first at or after it."""
        lines = self._rows("anchors") if self.anchor_rows else 0
        line = (-(-row // self.anchor_rows) if after else row // self.anchor_rows) if lines else 0
        if after and line >= lines:
            return items, 0
        if not lines or (not after and line == 0):
            return 0, 0
        anchor = self._read("anchors", min(line, lines - 1), min(line, lines - 1) + 1)
        if anchor.shape != (1, 3):
            raise self._damaged(f"anchors of shape {anchor.shape}")
        at, item, cell = (int(n) for n in anchor[0])
        good = (
            at == min(line, lines - 1) * self.anchor_rows and item >= 0 and 0 <= cell <= at * self.n_neurons
        )
        if not good:
            raise self._damaged(f"anchor line {min(line, lines - 1)} is ({at}, {item}, {cell})")
        # Anchors may be committed before the intervals they count.
        return (item, cell) if item <= items else (0, 0) if not after else (items, 0)

    def _spikes_before(self, item: int, items: int) -> int:
        if self._rows("values") == items and not self.stored.running:
            return item  # no interval stands for silence alone
        return sum(int(np.count_nonzero(block != SILENCE)) for block in self._interval_blocks(0, item))

    def _interval_blocks(self, start: int, stop: int) -> Iterator[NDArray[Any]]:
        return (
            read_blocks(self.stored.need(f"{SPIKES}/intervals"), start, stop, _BLOCK)
            if stop > start
            else iter(())
        )

    def _covered(self) -> int:
        """Cells that the committed intervals cover; continues from the last call."""
        items = self._rows("intervals")
        done, covered = self.stored.cache.get("covered", (0, 0))
        if done > items:
            done, covered = 0, 0
        for block in self._interval_blocks(done, items):
            covered += _cells(block)
        self.stored.cache["covered"] = (items, covered)
        return int(covered)


class EventSpikes(_Stored):
    """``format = "events"``: timestep and neuron of each spike, and where each row's spikes end."""

    def clock(self) -> Clock:
        """Timesteps of all calls with spikes, silent ones included."""
        whole = self.stored.clock(f"{SPIKES}/rows")
        rows = min(len(whole), self._rows("row_ends"))
        if self.stored.running:
            known = self._read("row_ends", 0, rows)
            rows = int(np.searchsorted(known, self._rows("values"), side="right"))
        elif rows < len(whole):
            raise self._damaged(f"{len(whole)} rows, but {rows} row_ends")
        return whole if rows == len(whole) else Clock.of([whole.values(slice(0, rows))])

    def read(self, first: int, last: int) -> SpikeSlice:
        """Spikes of rows ``first`` to ``last``."""
        ends = self._read("row_ends", max(first - 1, 0), max(last, first)).astype(np.int64)
        if first == 0:
            ends = np.concatenate([np.zeros(1, np.int64), ends])
        counts = np.diff(ends)
        start, stop = int(ends[0]), int(ends[-1])
        if (counts < 0).any() or not 0 <= start <= stop <= self._rows("values"):
            raise self._damaged("row_ends do not cut the spikes into rows")
        rows = np.repeat(np.arange(first, first + len(counts), dtype=np.int64), counts)
        neurons = self._read("values", start, stop).astype(np.int64, copy=False)
        if len(neurons) and not 0 <= neurons.min() <= neurons.max() < self.n_neurons:
            raise self._damaged(f"a neuron outside 0 to {self.n_neurons - 1}")
        graded = self._has("amplitudes")
        return SpikeSlice(rows, neurons, self._read("amplitudes", start, stop) if graded else None)


_ENCODINGS: dict[Any, type[IntervalSpikes | EventSpikes]] = {
    SPIKES_INTERVALS: IntervalSpikes,
    SPIKES_EVENTS: EventSpikes,
}


def stored_spikes(stored: StoredEpisode) -> SpikeRows | None:
    """The episode's spikes by the encoding that its attribute ``format`` names; None without any.

    Raises
    ------
    DamagedError
        An encoding this reader does not know.
    """
    if "spikes" in stored.cache and not stored.running:
        kept: SpikeRows | None = stored.cache["spikes"]
        return kept
    if not stored.keys(SPIKES):
        return None
    encoding = stored.facts(SPIKES).get(ENCODING)
    if encoding in _ENCODINGS:
        source = stored.cache["spikes"] = _ENCODINGS[encoding](stored)
        return source
    raise DamagedError(f"{stored.name}/{SPIKES}: unknown format {encoding!r}")


def _cells(intervals: NDArray[Any]) -> int:
    """How many cells they cover, their spikes' own included."""
    return int(intervals.sum(dtype=np.int64)) + int(np.count_nonzero(intervals != SILENCE))


def _logged_dtype(text: Any, stored: StoredEpisode) -> np.dtype[Any]:
    if text == "indices":
        return np.dtype(np.bool_)
    try:
        dtype: np.dtype[Any] = np.dtype(text)
    except (TypeError, ValueError) as error:
        raise DamagedError(f"{stored.name}/{SPIKES}: dtype is {text!r}") from error
    if text is None or dtype.kind not in "biufc":
        raise DamagedError(f"{stored.name}/{SPIKES}: dtype is {text!r}")
    return dtype
