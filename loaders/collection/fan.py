"""Analysis of many recordings on a Dask cluster: paths travel, and each worker opens files of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from loaders.collection.run import Run
from loaders.episode import EpisodeData
from loaders.experiment import ExperimentLoader

T = TypeVar("T")
Key = tuple[str, int]
"""Name of a recording, and id of an episode in it."""
_MISSING = 'needs Dask: python -m pip install "flightrec[dask]"'


def map_episodes(runs: Iterable[Run], function: Callable[[EpisodeData], T], client: Any) -> dict[Key, T]:
    """What ``function`` returns of every episode; see :meth:`ExperimentCollection.map_episodes`."""
    places = [(run, number) for run in runs for number in episodes_of(run.file)]
    if client is None:
        return {(run.name, number): call(function, run.file, number) for run, number in places}
    futures = [
        client.submit(call, function, run.file.absolute(), number, pure=False) for run, number in places
    ]
    found = client.gather(futures)
    return {(run.name, number): result for (run, number), result in zip(places, found, strict=True)}


def call(function: Callable[[EpisodeData], T], file: Path, number: int) -> T:
    """Open a recording and call ``function`` with one of its episodes."""
    with ExperimentLoader(file) as loader:
        try:
            return function(loader.get_episode(number))
        except Exception as error:
            error.add_note(f"in episode {number} of {file.parent}")
            raise


def episodes_of(file: Path) -> list[int]:
    """Ids of a recording's episodes."""
    with ExperimentLoader(file) as loader:
        return loader.list_episodes()


def arrays(runs: Iterable[Run], stream: str, rows: int) -> dict[Key, Any]:
    """A Dask array a stream and episode; see :meth:`ExperimentCollection.to_dask`."""
    try:
        import dask
        import dask.array
    except ImportError as error:
        raise ImportError(f"to_dask() {_MISSING}") from error
    read = dask.delayed(_rows, pure=True)
    found = {}
    for run in runs:
        with ExperimentLoader(run.file) as loader:
            for number in loader.list_episodes():
                episode = loader.get_episode(number)
                if stream not in episode.streams:
                    continue
                stored = episode.stream(stream)
                shape, dtype = stored.shape, stored.dtype
                cuts = [*range(0, shape[0], rows), shape[0]]
                parts = [
                    dask.array.from_delayed(
                        read(run.file.absolute(), number, stream, a, b), (b - a, *shape[1:]), dtype
                    )
                    for a, b in itertools.pairwise(cuts)
                ]
                empty = dask.array.zeros((0, *shape[1:]), dtype)
                found[run.name, number] = dask.array.concatenate(parts) if parts else empty
    return found


def _rows(file: Path, number: int, stream: str, start: int, stop: int) -> Any:
    with ExperimentLoader(file) as loader:
        return loader.get_episode(number).stream(stream)[start:stop]
