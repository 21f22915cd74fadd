"""Windows made by all cores in the order of subjects, so many at a time and no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from loaders.windows.normalise import Scale, check_finite, cut, normalised, scale_of, stored
from loaders.windows.plan import Plan, stride_of
from loaders.windows.sources.source import Samples
from recorder.errors import ReadError
from recorder.h5.reading.together import usable_cores
from recorder.h5.windows.layout import Settings
from recorder.h5.windows.writing import Encoded, Encoder

BLOCK_BYTES = 8 << 20
"""Of samples as float64 that a thread has at once, unless one window has more."""
SUBJECTS_AHEAD = 1
T = TypeVar("T")


class SubjectError(Exception):
    """A subject could not be made windows from; its cause is chained."""


@dataclass
class _Opened:
    """A subject's samples, and how its channels are scaled."""

    samples: Samples
    stride: int
    scale: Scale | None


class Filler:
    """Makes the windows of subjects, ahead of who asks for them.

    Parameters
    ----------
    plans : list of Plan
        In the order in which their windows will be asked for.
    settings : Settings
    encoder : Encoder
    scratch : Path
        Folder for what has to be unpacked.
    """

    def __init__(self, plans: list[Plan], settings: Settings, encoder: Encoder, scratch: Path) -> None:
        self._settings, self._encoder, self._scratch = settings, encoder, scratch
        cores = usable_cores()
        self._pool = ThreadPoolExecutor(cores)
        # Unpacking and the first of two passes are sequential: they go on beside the blocks of the subject
        # before.
        self._openers = ThreadPoolExecutor(SUBJECTS_AHEAD)
        self._waiting = deque(plans)
        self._opening: deque[tuple[Plan, Future[_Opened]]] = deque()
        self._ahead = 2 * cores
        self._open_ahead()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for executor in (self._openers, self._pool):
            executor.shutdown(wait=True, cancel_futures=True)
        for _, opening in self._opening:
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                opening.result().samples.close()

    def blocks(self, plan: Plan) -> Iterator[Encoded]:
        """The windows of the next plan, some at a time.

        Raises
        ------
        SubjectError
            Its source failed, or has values that cannot be stored.
        """
        next_plan, opening = self._opening.popleft()
        assert next_plan is plan
        self._open_ahead()
        opened = _result(opening)
        running: deque[Future[Encoded]] = deque()
        try:
            for work in self._jobs(plan, opened):
                running.append(self._pool.submit(work))
                if len(running) > self._ahead:
                    yield _result(running.popleft())
            while running:
                yield _result(running.popleft())
        finally:
            for future in running:
                future.cancel()
            for future in running:
                if not future.cancelled():
                    future.exception()
            opened.samples.close()

    def _open_ahead(self) -> None:
        while self._waiting and len(self._opening) < SUBJECTS_AHEAD:
            plan = self._waiting.popleft()
            self._opening.append((plan, self._openers.submit(self._open, plan)))

    def _open(self, plan: Plan) -> _Opened:
        samples = plan.source.open(self._scratch)
        try:
            found = plan.source.fingerprint()
            if any(plan.record[key] != value for key, value in found.items()):
                raise ReadError("it has changed since the windows were counted")
            stride = stride_of(samples, self._settings)
            step = max(1, BLOCK_BYTES // (8 * samples.channels))
            scale = None
            if self._settings.normalisation == "recording":
                ends = range(0, samples.samples, step)
                scale = scale_of(samples.read(a, min(a + step, samples.samples)) for a in ends)
            return _Opened(samples, stride, scale)
        except BaseException:
            samples.close()
            raise

    def _jobs(self, plan: Plan, opened: _Opened) -> Iterator[Callable[[], Encoded]]:
        settings = self._settings
        most = BLOCK_BYTES // (8 * plan.channels)
        count = max(1, (most - settings.window_size) // opened.stride + 1)
        for first in range(0, plan.windows, count):
            last = min(first + count, plan.windows)
            yield lambda first=first, last=last: self._made(opened, first, last)  # type: ignore[misc]

    def _made(self, opened: _Opened, first: int, last: int) -> Encoded:
        settings, stride = self._settings, opened.stride
        start, stop = first * stride, (last - 1) * stride + settings.window_size
        samples = opened.samples.read(start, stop)
        if samples.shape != (opened.samples.channels, stop - start):
            raise ReadError(f"samples {start} to {stop} came as {samples.shape}")
        check_finite(samples)
        views = cut(samples, settings.window_size, stride)
        out = np.empty(views.shape, settings.dtype)
        for window, place in zip(views, out, strict=True):
            stored(normalised(window, settings.normalisation, settings.epsilon, opened.scale), place)
        return self._encoder(out)


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except Exception as error:
        raise SubjectError(str(error)) from error
