"""Reads that belong to one state of the file, although its writer may change it meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast

from recorder.h5.source import RecordingFile

P = ParamSpec("P")
T = TypeVar("T")


class Reader(Protocol):
    """Whatever reads from a recording's file."""

    @property
    def _recording(self) -> RecordingFile: ...


S = TypeVar("S", bound=Reader)


def steady(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """A method that is called again when the file's structure changed under it.

    See :meth:`recorder.h5.reading.handle.RecordingFile.steady`; recordings that nobody writes pay nothing.
    """

    @wraps(method)
    def call(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._recording.steady(lambda: method(self, *args, **kwargs))

    return cast(Callable[Concatenate[S, P], T], call)
