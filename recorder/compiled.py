"""A plan in the words of ``_hotpath.c``, which does with data what ``rowcode.py`` does with source."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder import _hotpath, rowcode
from recorder.admission import INT64_MAX
from recorder.blocks import MOST_KEPT
from recorder.plan import GROUP_ARGUMENTS, Plan
from recorder.rowcode import FALL_BACK, LogFunction, Position, concurrent_log
from recorder.spike_input import SpikeIndices

_ARGUMENTS = ("timestep", "neural_state", "spikes", "behavior", "reward")
_RATES = 1 << 62
"""Sampling rates below this fit the compiled arithmetic, beyond the last timestep too."""


def generate(
    plan: Plan, admit: Callable[..., None], indices: Callable[..., NDArray[np.int64]]
) -> LogFunction:
    """See :func:`recorder.rowcode.generate`."""
    if any(stream.rate >= _RATES for stream in plan.streams.values()):
        return rowcode.generate(plan, admit, indices)
    head, streams, forms = _words(plan)
    log = _hotpath.Log(admit, indices, concurrent_log, FALL_BACK, SpikeIndices, _SIGNATURE, head, streams)

    def attach(views: tuple[Any, ...], position: Position) -> None:
        log.attach(*_place(forms, views, position))

    def position() -> Position:
        row, heap, *places = log.position()
        pairs = list(zip(forms, places, strict=True))
        side = [rows for (side, _, _), (rows, _, _) in pairs if side]
        return Position(
            row, side, heap, [base + more for (_, _, sampled), (_, base, more) in pairs if sampled]
        )

    return LogFunction(log, attach, log.retire, position, log.running)


_Words = tuple[int, tuple[Any, ...], list[tuple[bool, bool, bool]]]
_WORDS: dict[Any, _Words] = {}
"""What plans came to, because one episode after the other has the same."""


def _words(plan: Plan) -> _Words:
    """Bytes of a row's packed record, its streams, and whether each has a table, a place in it, a rate."""
    key = tuple((s.group, s.key, s.kind, s.rate, s.required) for s in plan.streams.values())
    found = _WORDS.get(key)
    if found is None:
        forms = [(stream.side, stream.in_head, stream.rate > 1) for stream in plan.streams.values()]
        head = sum(np.dtype(kind).itemsize for _, kind in plan.head_fields())
        found = head, tuple(_streams(plan)), forms
        if len(_WORDS) >= MOST_KEPT:
            _WORDS.clear()
        _WORDS[key] = found
    return found


def _place(
    forms: list[tuple[bool, bool, bool]], views: tuple[Any, ...], position: Position
) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Views of a block and where to go on in it, flat: two entries of memory a stream, four numbers."""
    counts, capacity, head, *rest = (_array(view) for view in views)
    *rest, heap, heap_capacity = rest
    memory, numbers = [counts, head, heap], [position.row, capacity, position.heap, heap_capacity]
    items, sides, dues = iter(rest), iter(position.side), iter(position.due)
    for side, in_head, sampled in forms:
        room = need = target = None
        if side:
            room, need, target = next(items), next(items), next(items)
        elif not in_head:
            target = next(items)
        memory += [need, target]
        due = next(dues) if sampled else 0
        base = min(due, INT64_MAX)
        numbers += [next(sides) if side else 0, room or 0, base, due - base]
    return tuple(memory), tuple(numbers)


def _array(view: Any) -> Any:
    # The array behind a memoryview: held by itself it may be collected in any order.
    return view.obj if isinstance(view, memoryview) else view


def _streams(plan: Plan) -> Iterator[tuple[Any, ...]]:
    offset = 8  # after the timestep
    for stream in plan.streams.values():
        yield (
            _ARGUMENTS.index(GROUP_ARGUMENTS[stream.group]),
            stream.key or None,
            stream.required,
            stream.rate,
            stream.side,
            offset if stream.in_head else -1,
            stream.indices,
            stream.kind.dtype,
            stream.shape,
        )
        if stream.in_head:
            offset += 8 if stream.indices else stream.kind.dtype.itemsize


def _log(
    timestep: Any = None,
    neural_state: Any = None,
    spikes: Any = None,
    behavior: Any = None,
    reward: Any = None,
    **more: Any,
) -> None: ...


_SIGNATURE = inspect.signature(_log)
