"""Which rows of two streams are compared with which."""

from __future__ import annotations

from collections.abc import Iterator

from loaders.comparing.streams import Rows

Piece = tuple[slice, slice]


def pieces(a: Rows, b: Rows) -> Iterator[Piece]:
    """Row numbers of the first and of the second, that both follow one another and leave none out.

    So what has equal pieces is equal, order included. Where timesteps ascend in both, pieces begin at the
    same timestep: a row that only one of them has puts no more than its piece out of step.
    """
    step = max(a.step, b.step)
    for one, other in _by_time(a, b, step) if a.ascending and b.ascending else [_whole(a, b)]:
        rows = max(one.stop - one.start, other.stop - other.start)
        for low in range(0, rows, step):
            yield _part(one, low, step), _part(other, low, step)


def _whole(a: Rows, b: Rows) -> Piece:
    return slice(0, a.count), slice(0, b.count)


def _part(rows: slice, low: int, step: int) -> slice:
    return slice(min(rows.start + low, rows.stop), min(rows.start + low + step, rows.stop))


def _by_time(a: Rows, b: Rows, step: int) -> Iterator[Piece]:
    spans = [of.span() for of in (a, b) if of.count]
    start, stop = min((s for s, _ in spans), default=0), max((e for _, e in spans), default=0)
    waiting = [(start, stop, *_whole(a, b))]
    while waiting:
        start, stop, one, other = waiting.pop()
        if max(one.stop - one.start, other.stop - other.start) <= step or stop - start <= 1:
            yield one, other
            continue
        middle = (start + stop) // 2
        here, there = a.until(middle), b.until(middle)
        waiting += [
            (middle, stop, slice(here, one.stop), slice(there, other.stop)),
            (start, middle, slice(one.start, here), slice(other.start, there)),
        ]
