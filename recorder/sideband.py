"""Weight changes and events: what a call carries beside a timestep's data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recorder.admission import admit_key, admit_real, admit_timestep, as_array, describe
from recorder.errors import InputError, RowTooLargeError, StreamTypeError, UnknownFieldError
from recorder.format.events import encode_event
from recorder.format.layout import EVENTS, WEIGHT_CHANGES
from recorder.plan import NEED, ROW, STRUCT_CODES, Plan
from recorder.ring.record import Record

WEIGHT_KEYS = ("synapse_id", "old_weight", "new_weight")
EVENT_KEYS = ("event_type", "data")
COLUMNS = ("timesteps", "synapse_ids", "source_ids", "target_ids", "old_weights", "new_weights", "deltas")


@dataclass(slots=True)
class WeightChange:
    """One admitted weight change: its record's fields and their values."""

    fields: list[list[str]]
    values: tuple[Any, ...]


@dataclass(slots=True)
class Side:
    """What one call carries beside a timestep's data, all of it admitted."""

    step: int
    weight: WeightChange | None = None
    event: bytes | None = None


def admit_side(step: int, more: Mapping[str, Any]) -> Side:
    """Take the further keywords of a ``log()`` call apart.

    Raises
    ------
    UnknownFieldError
        A keyword that belongs neither to a weight change nor to an event.
    InputError
        Half a weight change or event, or values they cannot have.
    """
    # A keyword given as None counts as absent: wrappers pass their own defaults through.
    rest = {key: value for key, value in more.items() if value is not None or key == "data"}
    side = Side(step)
    event = {key: rest.pop(key) for key in EVENT_KEYS if key in rest}
    if event.get("event_type") is not None:
        side.event = admit_event(step, event["event_type"], event.get("data"))
    elif event.get("data") is not None:
        raise InputError(EVENTS, "event_type beside data", "none", step=step)
    weight = {key: rest.pop(key) for key in WEIGHT_KEYS if key in rest}
    if weight:
        missing = [key for key in WEIGHT_KEYS if key not in weight]
        if missing:
            raise InputError(
                WEIGHT_CHANGES, " and ".join(WEIGHT_KEYS), f"no {' and no '.join(missing)}", step=step
            )
        synapse, old, new = (weight[key] for key in WEIGHT_KEYS)
        side.weight = admit_weight(step, synapse, old, new, rest)
    elif rest:
        raise UnknownFieldError(
            next(iter(rest)),
            "timestep, neural_state, spikes, behavior, reward; "
            "synapse_id, old_weight, new_weight; event_type, data",
            f"the keyword {next(iter(rest))!r}",
            step=step,
            hint="nothing of this call was stored",
        )
    return side


def admit_event(step: Any, event_type: Any, data: Any) -> bytes:
    """An event as its stored bytes; ``data`` is any mapping a document can hold, None for an empty one."""
    if not isinstance(event_type, str) or not event_type:
        raise StreamTypeError(EVENTS, "event_type as a non-empty str", repr(event_type), step=step)
    if data is not None and not isinstance(data, Mapping):
        raise StreamTypeError(EVENTS, "data as a dict", type(data).__name__, step=step)
    return encode_event(event_type, dict(data or {}))


def admit_weight(step: int, synapse_id: Any, old: Any, new: Any, extra: Mapping[str, Any]) -> WeightChange:
    """A weight change as a record; ``synapse_id`` is an int or a (source, target) pair of ints."""
    if isinstance(synapse_id, tuple | list) or getattr(synapse_id, "ndim", 0) == 1:
        pair = tuple(synapse_id)
        if len(pair) != 2:
            raise StreamTypeError(
                WEIGHT_CHANGES, "synapse_id as an int or (source, target)", repr(synapse_id), step=step
            )
        ids = {"source_ids": pair[0], "target_ids": pair[1]}
    else:
        ids = {"synapse_ids": synapse_id}
    fields: list[list[str]] = [["timesteps", "<i8"]]
    values: list[Any] = [step]
    for name, value in ids.items():
        fields.append([name, "<i8"])
        values.append(_integer(step, name, value))
    for name, value in (("old_weights", old), ("new_weights", new)):
        fields.append([name, "<f8"])
        values.append(admit_real(f"{WEIGHT_CHANGES}/{name}", step, value))
    # Sorted: the same keywords in another order are the same columns.
    for name, value in sorted(extra.items()):
        admit_key(WEIGHT_CHANGES, name)
        array = as_array(f"{WEIGHT_CHANGES}/{name}", step, value)
        if name in COLUMNS or array.shape or array.dtype.str[1:] not in STRUCT_CODES:
            raise StreamTypeError(f"{WEIGHT_CHANGES}/{name}", "a number", describe(array), step=step)
        fields.append([name, array.dtype.str])
        values.append(array[()])
    return WeightChange(fields, tuple(values))


def _integer(step: int, name: str, value: Any) -> int:
    try:
        return admit_timestep(value)
    except InputError as error:
        raise StreamTypeError(f"{WEIGHT_CHANGES}/{name}", "an int", error.got, step=step) from None


class Sideband:
    """The side tables of one episode's blocks."""

    def __init__(self, plan: Plan, largest: int) -> None:
        self.plan, self._largest = plan, largest

    def check(self, side: Side) -> None:
        """Refuse what does not go with the episode's earlier weight changes, or fits no block."""
        fields = self.plan.weight_fields
        if side.weight is not None and fields is not None and side.weight.fields != fields:
            raise StreamTypeError(
                WEIGHT_CHANGES,
                f"{_signature(fields)} (fixed by the episode's first weight change)",
                _signature(side.weight.fields),
                step=side.step,
            )
        if side.event is not None and 4 * len(side.event) > self._largest:
            raise RowTooLargeError(
                EVENTS,
                f"at most {self._largest // 4} bytes of JSON",
                f"{len(side.event)} bytes",
                step=side.step,
                hint="save large things with save_checkpoint(), or give ring_bytes more",
            )

    def needs(self, side: Side) -> bool:
        """Whether the plan has no room for this yet."""
        if side.weight is not None and self.plan.weight_fields is None:
            return True
        return side.event is not None and (not self.plan.events or len(side.event) > self.plan.event_bytes)

    def extend(self, side: Side) -> None:
        """Make room for this in the plan."""
        if side.weight is not None:
            self.plan.weight_fields = side.weight.fields
        if side.event is not None:
            self.plan.events = True
            self.plan.event_bytes = max(self.plan.event_bytes, len(side.event))

    def write(self, record: Record, side: Side, need: int) -> bool:
        """Store and publish; it counts once ``need`` main rows do. False if a table is full."""
        weights = record.tables[WEIGHT_CHANGES] if side.weight else None
        events = record.tables[EVENTS] if side.event is not None else None
        if weights is not None and weights.count >= weights.table.rows:
            self.plan.weight_rows = max(1, min(2 * self.plan.weight_rows, self._largest // 1024))
            return False
        if events is not None and side.event is not None:
            row = events.count
            start = int(events.columns[ROW]["end"][row - 1]) if row else 0
            if row >= events.table.rows or start + len(side.event) > len(events.heap):
                self.plan.event_rows = max(1, min(2 * self.plan.event_rows, self._largest // 256))
                self.plan.event_bytes = min(2 * self.plan.event_bytes, self._largest // 4)
                return False
            end = start + len(side.event)
            events.heap[start:end] = np.frombuffer(side.event, np.uint8)
            events.columns[ROW][row] = (side.step, end)
            events.columns[NEED][row] = need
        if weights is not None and side.weight is not None:
            weights.columns[ROW][weights.count] = side.weight.values
            weights.columns[NEED][weights.count] = need
            weights.count += 1
        if events is not None:
            events.count += 1
        return True

    def retract(self, record: Record, side: Side) -> None:
        """Take back what :meth:`write` published, because its main row found no room."""
        if side.weight is not None:
            record.tables[WEIGHT_CHANGES].count -= 1
        if side.event is not None:
            record.tables[EVENTS].count -= 1


def _signature(fields: list[list[str]]) -> str:
    return ", ".join(f"{name} {np.dtype(kind).name}" for name, kind in fields)
