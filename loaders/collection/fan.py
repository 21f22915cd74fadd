"""Analysis of many recordings on a Dask cluster: paths travel, and each worker opens files of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from loaders.collection.run import Run
from loaders.episode import EpisodeData
from loaders.experiment import ExperimentLoader

T = TypeVar("T")
Key = tuple[str, int]
"""Name of a recording, and id of an episode in it."""
_TASKS = 128
"""Over which episodes are spread at least, as a cluster may grow; each opens its recording."""
_TASKS_PER_THREAD = 4


def map_episodes(runs: Iterable[Run], function: Callable[[EpisodeData], T], client: Any) -> dict[Key, T]:
    """What ``function`` returns of every episode; see :meth:`ExperimentCollection.map_episodes`."""
    if client is None:
        return {(run.name, number): made for run in runs for number, made in call(function, run.file, None)}
    places = [(run, episodes_of(run.file)) for run in runs]
    most = _at_a_time(sum(len(numbers) for _, numbers in places), client)
    batches = [
        (run, numbers[start : start + most])
        for run, numbers in places
        for start in range(0, len(numbers), most)
    ]
    futures = [
        client.submit(call, function, run.file.absolute(), numbers, pure=False) for run, numbers in batches
    ]
    found = zip(batches, client.gather(futures), strict=True)
    return {(run.name, number): made for (run, _), several in found for number, made in several}


def call(
    function: Callable[[EpisodeData], T], file: Path, numbers: Sequence[int] | None
) -> list[tuple[int, T]]:
    """Open a recording and call ``function`` with some of its episodes, or all; ids and what it returned."""
    found = []
    with ExperimentLoader(file) as loader:
        for number in loader.list_episodes() if numbers is None else numbers:
            try:
                found.append((number, function(loader.get_episode(number))))
            except Exception as error:
                error.add_note(f"in episode {number} of {file.parent}")
                raise
    return found


def _at_a_time(episodes: int, client: Any) -> int:
    """Episodes of a task."""
    threads = sum(client.nthreads().values())
    return math.ceil(episodes / max(_TASKS, _TASKS_PER_THREAD * threads)) or 1


def episodes_of(file: Path) -> list[int]:
    """Ids of a recording's episodes."""
    with ExperimentLoader(file) as loader:
        return loader.list_episodes()
