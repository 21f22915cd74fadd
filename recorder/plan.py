"""What an episode's calls look like: which streams there are, and where a block keeps each.

A stream that every call brings is a column of the main table, one row a call. A stream that may be
missing, or that is sampled, has a side table whose rows say after how many main rows they count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from recorder.admission import StreamType
from recorder.format.layout import BEHAVIOR, EVENTS, NEURAL, REWARDS, SPIKES, WEIGHT_CHANGES
from recorder.ring.tables import Field, Table
from recorder.spike_input import INDICES, SpikeType

MAIN, HEAD, NEED, VALUE, END, ROW = "main", "head", "need", "value", "end", "row"

STRUCT_CODES = {
    "b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I",
    "i8": "q", "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip

_SPARE_ROWS = 16
_SPARE_BYTES = 1 << 16
_MIN_HEAP = 1 << 16


@dataclass(slots=True)
class Stream:
    """One stream of an episode and how it comes."""

    group: str
    key: str
    kind: StreamType | SpikeType
    rate: int = 1
    required: bool = True
    """Whether every call brings it."""
    share: float = 1.0
    """Side rows per main row that the next block makes room for."""
    heap_share: float = 0.0
    """Heap bytes per row of spike indices that the next block makes room for."""

    @property
    def name(self) -> str:
        """Path within the episode."""
        return f"{self.group}/{self.key}" if self.key else self.group

    @property
    def side(self) -> bool:
        """Whether it has a table of its own."""
        return self.rate > 1 or not self.required

    @property
    def in_head(self) -> bool:
        """Whether its values are scalars of the main table's packed record."""
        return not self.side and (self.indices or self.scalar_code is not None)

    @property
    def indices(self) -> bool:
        """Whether rows are lists of neuron indices."""
        return isinstance(self.kind, SpikeType) and self.kind.form == INDICES

    @property
    def scalar_code(self) -> str | None:
        """``struct``'s code of its scalars, where they are scalars that have one."""
        if self.shape:
            return None
        return STRUCT_CODES.get(self.kind.dtype.str[1:])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row."""
        return (self.kind.n_neurons,) if isinstance(self.kind, SpikeType) else self.kind.shape

    @property
    def value_field(self) -> Field:
        """The column of its values, or of the ends of its index lists."""
        if self.indices:
            return Field(END, "<i8")
        return Field(VALUE, self.kind.dtype.str, self.shape)


@dataclass(slots=True)
class Plan:
    """All streams of an episode, in the order in which they came."""

    streams: dict[str, Stream] = field(default_factory=dict)
    weight_fields: list[list[str]] | None = None
    """The record of a weight change, once there was one."""
    weight_rows: int = 1024
    events: bool = False
    event_rows: int = 256
    event_bytes: int = _MIN_HEAP

    def copy(self) -> Plan:
        """A plan of its own, with streams of its own."""
        return replace(self, streams={name: replace(stream) for name, stream in self.streams.items()})

    def group(self, group: str) -> Iterator[Stream]:
        """The streams of a group."""
        return (stream for stream in self.streams.values() if stream.group == group)

    def places(self) -> dict[str, Any]:
        """Where a block keeps each stream, as JSON for the block's description."""
        out: dict[str, Any] = {}
        for name, stream in self.streams.items():
            place: dict[str, Any] = {"table": name if stream.side else MAIN}
            if stream.in_head:
                place |= {"field": HEAD, "item": name}
            elif not stream.side:
                place["field"] = name
            if isinstance(stream.kind, SpikeType):
                place |= {"dtype": stream.kind.logged_dtype, "n_neurons": stream.kind.n_neurons}
                if stream.indices:
                    place["heap"] = place["table"]
            out[name] = place
        return out

    def head_fields(self) -> list[list[str]]:
        """The packed record of the main table."""
        fields = [["timestep", "<i8"]]
        for name, stream in self.streams.items():
            if stream.in_head:
                fields.append([name, "<i8" if stream.indices else stream.kind.dtype.str])
        return fields

    @property
    def row_bytes(self) -> float:
        """Bytes that a call takes in a block, on average."""
        return sum(f.row_bytes for f in self._main_fields()) + self._per_row_side()

    def tables(self, budget: int) -> tuple[Table, ...]:
        """Tables of a block whose steps take about ``budget`` bytes, at least one row each."""
        rows = max(1, int(budget // self.row_bytes))
        return tuple(self._layout(rows))

    def main_columns(self) -> list[Field]:
        """Columns of the main table that are stored as they are; spikes are not."""
        return [
            Field(name, stream.kind.dtype.str, stream.shape)
            for name, stream in self.streams.items()
            if stream.group != SPIKES and not stream.side and not stream.in_head
        ]

    def _main_fields(self) -> list[Field]:
        fields = [Field(HEAD, self.head_fields())]
        for name, stream in self.streams.items():
            if not stream.side and not stream.in_head:
                fields.append(Field(name, stream.kind.dtype.str, stream.shape))
        return fields

    def _per_row_side(self) -> float:
        total = 0.0
        for stream in self.streams.values():
            row = 8 + stream.value_field.row_bytes if stream.side else 0
            total += stream.share * row + stream.heap_share
        return total

    def _layout(self, rows: int) -> Iterator[Table]:
        heap = 0
        sides = []
        for name, stream in self.streams.items():
            size = _heap(rows, stream) if stream.indices else 0
            if stream.side:
                spare = max(1, min(_SPARE_ROWS, rows, _SPARE_BYTES // stream.value_field.row_bytes))
                count = int(rows * stream.share) + spare
                sides.append(Table(name, count, (Field(NEED, "<i8"), stream.value_field), size))
            else:
                heap = size or heap
        yield Table(MAIN, rows, tuple(self._main_fields()), heap)
        yield from sides
        if self.weight_fields is not None:
            yield Table(
                WEIGHT_CHANGES, self.weight_rows, (Field(NEED, "<i8"), Field(ROW, self.weight_fields))
            )
        if self.events:
            record: list[list[str]] = [["timesteps", "<i8"], ["end", "<i8"]]
            fields = (Field(NEED, "<i8"), Field(ROW, record))
            yield Table(EVENTS, self.event_rows, fields, self.event_bytes)


def _heap(rows: int, stream: Stream) -> int:
    most = 8 * int(stream.shape[0])
    return max(min(_MIN_HEAP, most * rows), most, int(rows * stream.heap_share)) // 8 * 8


GROUP_ARGUMENTS = {NEURAL: "neural_state", SPIKES: "spikes", BEHAVIOR: "behavior", REWARDS: "reward"}
"""The keyword of ``log()`` that brings each group."""


Given = dict[str, tuple[Stream, Any]]
"""What a call brings, admitted: its streams, known or new, and their values."""


def arguments_of(given: Given) -> dict[str, Any]:
    """The arguments of ``log`` that bring this."""
    out: dict[str, Any] = {}
    for stream, value in given.values():
        argument = GROUP_ARGUMENTS[stream.group]
        if stream.key:
            out.setdefault(argument, {})[stream.key] = value
        else:
            out[argument] = value
    return out


def plain(array: NDArray[Any]) -> Any:
    """An array, or the scalar that it is."""
    return array if array.shape else array[()]
