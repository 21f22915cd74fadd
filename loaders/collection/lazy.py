"""Streams of many recordings as arrays of Dask: paths travel, and each chunk opens a file of its own."""

from __future__ import annotations

import numbers
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.collection.index import stamp_of
from loaders.collection.run import Run
from loaders.experiment import ExperimentLoader
from recorder.errors import OptionError, ReplacedError

_ALL = -1
"""Dask's word for chunks that reach over a whole axis."""


def arrays(runs: Iterable[Run], stream: str, rows: int) -> dict[tuple[str, int], Any]:
    """A Dask array a stream and episode; see :meth:`ExperimentCollection.to_dask`."""
    if not isinstance(rows, numbers.Integral) or not (rows > 0 or rows == _ALL):
        raise OptionError(f"rows of a chunk: 1 or more, or -1 for all of an episode, not {rows!r}")
    try:
        from dask.array import from_array
    except ImportError as error:
        raise ImportError('to_dask() needs Dask: python -m pip install "flightrec[dask]"') from error
    found = {}
    for run in runs:
        with ExperimentLoader(run.file) as loader:
            file, begun = run.file.absolute(), loader.attributes.get("start_time")
            # Opening it may have repaired it.
            stamp = stamp_of(run.file) or uuid.uuid4().hex
            for number in loader.list_episodes():
                episode = loader.get_episode(number)
                if stream not in episode.streams:
                    continue
                stored = episode.stream(stream)
                lazy = _Rows(file, stamp, str(begun), number, stream, stored.shape, stored.dtype)
                found[run.name, number] = from_array(
                    lazy,
                    chunks=(int(rows), *[_ALL] * (lazy.ndim - 1)),
                    meta=np.empty((0,) * lazy.ndim, lazy.dtype),
                    asarray=False,
                    fancy=False,
                )
    return found


@dataclass(frozen=True)
class _Rows:
    """A stream of an episode that is read when it is sliced; pickled as what says where it is.

    Attributes
    ----------
    stamp : str
        What changes when the file does: it is part of the names of tasks, so that nobody is given what is
        kept of a file that was there before. While a recording is written, no two are the same.
    """

    file: Path
    stamp: str
    begun: str
    number: int
    stream: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return "flightrec", str(self.file), self.stamp, self.number, self.stream, self.shape, self.dtype.str

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        rows, *rest = index
        with ExperimentLoader(self.file) as loader:
            stored = loader.get_episode(self.number).stream(self.stream)
            known, now = (self.begun, self.dtype, self.shape[1:]), loader.attributes.get("start_time")
            if known != (str(now), stored.dtype, stored.shape[1:]) or len(stored) < self.shape[0]:
                raise ReplacedError(
                    f"{self.file} is another recording than when to_dask() was called: call it anew"
                )
            block = stored[rows]
        made: NDArray[Any] = block[(slice(None), *rest)] if isinstance(rows, slice) else block[tuple(rest)]
        return made
