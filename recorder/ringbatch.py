"""Many steps in one call: whole arrays into the ring, as if each row had been logged by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import admit_key, as_array, describe, learn
from recorder.errors import InputError, StreamShapeError, StreamTypeError
from recorder.format.layout import BEHAVIOR, NEURAL, REWARDS, SPIKES
from recorder.plan import GROUP_ARGUMENTS, HEAD, MAIN, NEED, VALUE, Stream
from recorder.ring.record import Record
from recorder.rowcode import Position
from recorder.sideband import Side
from recorder.spike_input import DENSE, SpikeType
from recorder.steplog import Given, StepLog

Columns = dict[str, NDArray[Any]]


def log_batch(
    steps: StepLog, timesteps: Any, neural_state: Any, spikes: Any, behavior: Any, reward: Any
) -> None:
    """Log ``timesteps`` (steps,) with arrays whose first axis is steps; see ``DataExporter.log_batch``."""
    times = _timesteps(timesteps)
    columns = _columns(len(times), neural_state, spikes, behavior, reward)
    if not len(times):
        return
    first = int(times[0])
    given: Given = {}
    for name, array in columns.items():
        stream = steps.plan.streams.get(name) or _new(steps, name, array)
        _check(stream, first, array)
        given[name] = stream, None
    steps.prepare(first, given, Side(first))
    kept = {
        name: _kept(times, steps.due(name), stream.rate)
        for name, (stream, _) in given.items()
        if stream.rate > 1
    }
    done = 0
    while done < len(times):
        if steps.record is None or _room(steps, steps.record) == 0:
            if not steps.roll():
                steps.drop(len(times) - done)
                return
            continue
        done = _fill(steps, steps.record, times, columns, kept, done)


def _fill(
    steps: StepLog,
    record: Record,
    times: NDArray[np.int64],
    columns: Columns,
    kept: dict[str, NDArray[np.int64]],
    done: int,
) -> int:
    assert steps.function is not None
    position = steps.function.position()
    row = position.row
    stop = min(len(times), done + _room(steps, record))
    sides = {name: stream for name, stream in steps.plan.streams.items() if stream.side}
    picks: dict[str, NDArray[np.int64]] = {}
    for index, (name, stream) in enumerate(sides.items()):
        if name not in columns:
            continue
        room = record.tables[name].table.rows - position.side[index]
        places = kept[name] if stream.rate > 1 else np.arange(done, stop)
        places = places[(places >= done) & (places < stop)]
        if len(places) > room:
            stop = int(places[room])
        picks[name] = places
    main = record.tables[MAIN]
    span = slice(row, row + stop - done)
    main.columns[HEAD]["timestep"][span] = times[done:stop]
    for name, array in columns.items():
        stream = steps.plan.streams[name]
        if not stream.side:
            target = main.columns[HEAD][name] if stream.in_head else main.columns[name]
            target[span] = array[done:stop]
    dues = dict(zip((n for n, s in steps.plan.streams.items() if s.rate > 1), position.due, strict=True))
    for index, (name, stream) in enumerate(sides.items()):
        if name not in picks:
            continue
        places = picks[name][picks[name] < stop]
        table, at = record.tables[name], position.side[index]
        table.columns[VALUE][at : at + len(places)] = columns[name][places]
        table.columns[NEED][at : at + len(places)] = places - done + row + 1
        table.count = position.side[index] = at + len(places)
        if stream.rate > 1 and len(places):
            dues[name] = int(times[places[-1]]) + stream.rate
    main.count = row + stop - done
    steps.move(Position(main.count, position.side, position.heap, list(dues.values())))
    return stop


def _room(steps: StepLog, record: Record) -> int:
    assert steps.function is not None
    position = steps.function.position()
    room = record.tables[MAIN].table.rows - position.row
    sides = [name for name, stream in steps.plan.streams.items() if stream.side]
    if any(record.tables[n].table.rows <= at for n, at in zip(sides, position.side, strict=True)):
        return 0
    return room


def _timesteps(value: Any) -> NDArray[np.int64]:
    array = as_array("timesteps", None, value)
    if array.ndim != 1:
        raise StreamShapeError("timesteps", "shape (steps,)", describe(array))
    if array.dtype.kind not in "iu" and len(array):
        raise StreamTypeError("timesteps", "integers", describe(array))
    if array.dtype == np.uint64 and len(array) and int(array.max()) >= 2**63:
        raise InputError("timesteps", "integers of 64 bits", str(array.max()))
    return array.astype(np.int64)


def _columns(length: int, neural_state: Any, spikes: Any, behavior: Any, reward: Any) -> Columns:
    columns: Columns = {}
    for group, mapping in ((NEURAL, neural_state), (BEHAVIOR, behavior)):
        if mapping is None:
            continue
        if not isinstance(mapping, Mapping):
            raise StreamTypeError(group, f"{GROUP_ARGUMENTS[group]} as a dict", type(mapping).__name__)
        for key, value in mapping.items():
            columns[f"{group}/{admit_key(group, key)}"] = as_array(f"{group}/{key}", None, value)
    if spikes is not None:
        columns[SPIKES] = as_array(SPIKES, None, spikes)
    if reward is not None:
        columns[REWARDS] = _rewards(as_array(REWARDS, None, reward))
    for name, array in columns.items():
        if array.ndim == 0 or len(array) != length:
            raise StreamShapeError(name, f"a first axis of {length} steps", describe(array))
    if SPIKES in columns and (columns[SPIKES].ndim != 2 or not columns[SPIKES].shape[1]):
        raise StreamShapeError(SPIKES, "shape (steps, neurons)", describe(columns[SPIKES]))
    return columns


def _rewards(array: NDArray[Any]) -> NDArray[np.float64]:
    if array.dtype.kind not in "biuf":
        raise StreamTypeError(REWARDS, "real numbers", describe(array))
    real = array.astype(np.float64)
    if array.dtype.kind in "iu" and len(array) and not np.array_equal(real.astype(array.dtype), array):
        raise InputError(REWARDS, "numbers that float64 holds exactly", describe(array))
    return real


def _new(steps: StepLog, name: str, array: NDArray[Any]) -> Stream:
    group, _, key = name.partition("/")
    if group == SPIKES:
        if steps.index_lists:
            raise StreamTypeError(
                SPIKES, "index lists", describe(array), hint="log them step by step with log()"
            )
        return steps.new_stream(group, "", SpikeType(DENSE, array.dtype, array.shape[1]))
    return steps.new_stream(group, key, learn(name, None, array[0])[0])


def _check(stream: Stream, step: int, array: NDArray[Any]) -> None:
    if stream.indices:
        raise StreamTypeError(
            SPIKES,
            str(stream.kind),
            describe(array),
            step=step,
            hint="log index lists step by step with log()",
        )
    if array.dtype != stream.kind.dtype:
        raise StreamTypeError(stream.name, f"rows of {stream.kind}", describe(array), step=step)
    if array.shape[1:] != stream.shape:
        raise StreamShapeError(stream.name, f"rows of {stream.kind}", describe(array), step=step)


def _kept(times: NDArray[np.int64], due: int, rate: int) -> NDArray[np.int64]:
    """Places of the rows that sampling keeps: the first at or after ``due``, then each ``rate`` later."""
    if bool((times[1:] > times[:-1]).all()):
        places: list[int] = []
        # Python's integers, because the sum may pass 64 bits.
        while due <= int(times[-1]):
            places.append(int(np.searchsorted(times, due)))
            due = int(times[places[-1]]) + rate
        return np.array(places, np.int64)
    kept = []
    for place, time in enumerate(times.tolist()):
        if time >= due:
            kept.append(place)
            due = time + rate
    return np.array(kept, np.int64)
