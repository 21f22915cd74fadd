"""Many steps in one call: whole arrays into the ring, as if each row had been logged by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import describe, dtype_hint, learn
from recorder.batch_input import Columns, admit_batch
from recorder.dropping import describe_full
from recorder.errors import RingFullError, StreamShapeError, StreamTypeError
from recorder.format.layout import SPIKES
from recorder.plan import HEAD, MAIN, NEED, VALUE, Given, Stream
from recorder.ring.record import Record
from recorder.rowcode import Position
from recorder.sideband import Side
from recorder.spike_input import DENSE, SpikeType
from recorder.steplog import StepLog


def log_batch(
    steps: StepLog, timesteps: Any, neural_state: Any, spikes: Any, behavior: Any, reward: Any
) -> int:
    """Log ``timesteps`` (steps,) with arrays whose first axis is steps; see ``DataExporter.log_batch``."""
    times, columns = admit_batch(
        timesteps, neural_state, spikes, behavior, reward, index_lists=steps.calls.index_lists
    )
    if not len(times):
        return 0
    first = int(times[0])
    with steps.alone(first):
        return _log(steps, first, times, columns)


def _log(steps: StepLog, first: int, times: NDArray[np.int64], columns: Columns) -> int:
    given: Given = {}
    for name, array in columns.items():
        stream = steps.plan.streams.get(name) or _new(steps, name, array)
        _check(stream, first, array)
        given[name] = stream, array[0]
    done = 0
    try:
        steps.prepare(first, given, Side(first))
        kept = {
            name: _kept(times, steps.due(name), stream.rate)
            for name, (stream, _) in given.items()
            if stream.rate > 1
        }
        sides = {name: stream for name, stream in steps.plan.streams.items() if stream.side}
        while done < len(times):
            record, position = steps.record, steps.position()
            room = 0 if record is None else _room(record, position, sides)
            if record is None or not room:
                if not steps.roll():
                    _drop(steps, given, times, done)
                    break
                continue
            stop = min(len(times), done + room)
            done = _fill(steps, record, position, sides, times, columns, kept, done, stop)
    except RingFullError as error:
        raise RingFullError(describe_full(error, done, len(times)), stored=done) from None
    return done


def _drop(steps: StepLog, given: Given, times: NDArray[np.int64], done: int) -> None:
    left, rows = times[done:], []
    for name, (stream, _) in given.items():
        count = len(left)
        if stream.rate > 1:
            places = _kept(left, steps.drops.due(name, steps.due(name)), stream.rate)
            count = len(places)
            if count:
                steps.drops.let_go(name, int(left[places[-1]]) + stream.rate)
        rows.append((name, count))
    steps.drops.batch(rows, len(times), done)


def _fill(
    steps: StepLog,
    record: Record,
    position: Position,
    sides: dict[str, Stream],
    times: NDArray[np.int64],
    columns: Columns,
    kept: dict[str, NDArray[np.int64]],
    done: int,
    stop: int,
) -> int:
    """Copy the steps from ``done`` to at most ``stop``, as far as side tables have room; where it ended."""
    row = position.row
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
        if name not in sides:
            # A column of its own, or a field of the packed record.
            target = main.columns[name] if name in main.columns else main.columns[HEAD][name]
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


def _room(record: Record, position: Position, sides: dict[str, Stream]) -> int:
    room = record.tables[MAIN].table.rows - position.row
    if any(record.tables[n].table.rows <= at for n, at in zip(sides, position.side, strict=True)):
        return 0
    return room


def _new(steps: StepLog, name: str, array: NDArray[Any]) -> Stream:
    group, _, key = name.partition("/")
    if group == SPIKES:
        return steps.calls.new_stream(group, "", SpikeType(DENSE, array.dtype, array.shape[1]))
    return steps.calls.new_stream(
        group, key, learn(name, None, array[0], inexact=steps.calls.inexact(name))[0]
    )


def _check(stream: Stream, step: int, array: NDArray[Any]) -> None:
    if stream.indices:
        raise StreamTypeError(
            SPIKES,
            str(stream.kind),
            describe(array),
            step=step,
            hint="log index lists step by step with log()",
        )
    if array.dtype == stream.kind.dtype and array.shape[1:] == stream.shape:
        return
    wanted, got = f"rows of {stream.kind} (fixed by the stream's first value)", describe(array)
    if array.dtype != stream.kind.dtype:
        hint = dtype_hint(stream.kind.dtype, array.dtype)
        raise StreamTypeError(stream.name, wanted, got, step=step, hint=hint)
    raise StreamShapeError(stream.name, wanted, got, step=step)


def _kept(times: NDArray[np.int64], due: int, rate: int) -> NDArray[np.int64]:
    """Places of the rows that sampling keeps: the first at or after ``due``, then each ``rate`` later."""
    stride = int(times[1]) - int(times[0]) if len(times) > 1 else 0
    if stride > 0 and bool((times[1:] - times[:-1] == stride).all()):
        first = max(0, -((int(times[0]) - due) // stride))
        step = -(-rate // stride)
        # Past the end everything is the same, and may be too large for an array.
        return np.arange(min(first, len(times)), len(times), min(step, len(times)))
    if bool((times[1:] > times[:-1]).all()):
        places: list[int] = []
        # Python's integers, because the sum may pass 64 bits.
        while due <= int(times[-1]):
            places.append(int(times.searchsorted(due)))
            due = int(times[places[-1]]) + rate
        return np.array(places, np.int64)
    kept = []
    for place, time in enumerate(times.tolist()):
        if time >= due:
            kept.append(place)
            due = time + rate
    return np.array(kept, np.int64)
