"""Several finished recordings in one.

There may be more of them than a process may have files open: they are opened one after the other, once to
check them all before anything is written, once to copy, and once to compare.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.comparing.difference import unequal
from loaders.drafts import (
    Account,
    Pathlike,
    drafted,
    entry_of,
    require_finished,
    require_led,
    require_same,
    stored_at,
    target_of,
)
from loaders.experiment import ExperimentLoader
from loaders.remote import is_remote
from recorder.errors import InputError, ReadError
from recorder.format.layout import MERGED, episode_path
from recorder.h5.assembling import Assembly


def merge(
    paths: Iterable[Pathlike], out: Pathlike, *, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write the episodes of several finished recordings into one, numbered anew in the order given.

    Configuration, metadata, code, network and resumptions are those of the first. The root document
    ``merged``, which :meth:`ExperimentLoader.get_origin` returns, has those of all but the network, which
    must be the same; which episode and which checkpoint was which; and what each was itself put together
    from. Where one of them has dimension scales, the streams of all episodes get them. A few files are open
    at a time, however many recordings there are.

    Raises
    ------
    InputError
        No recordings; or their networks differ; or a soft link of the first leads to an episode, whose number
        will be another.
    ReadError
        One is being written, or changed meanwhile, or is no recording of flightrec; or the result is not what
        the recordings are.
    FileExistsError, WriteError
        As :func:`loaders.assembling.pack`.
    """
    places = list(paths)
    if not places:
        raise InputError("recordings", "one at least", "none")
    target = target_of(out)
    sources = _checked(places)
    with drafted(target, len(sources)) as draft:
        with Assembly(draft.path) as made:
            _copy(made, sources, progress)
        draft.require_sound()
        with ExperimentLoader(draft.path) as again:
            for source in sources:
                with source.opened() as loader:
                    require_same(again, loader, source.numbers)
        draft.settle(replace=False)
    return target


@dataclass(frozen=True)
class _Source:
    """A recording that is closed, as it was when it was checked."""

    path: Any
    state: tuple[int, ...]
    numbers: dict[int, int]
    """Present number of every episode by its former one."""

    @contextlib.contextmanager
    def opened(self) -> Iterator[ExperimentLoader]:
        with ExperimentLoader(self.path) as loader:
            require_finished(loader)
            if _state(self.path) != self.state:
                raise ReadError(f"{self.path} was changed while it was merged")
            yield loader


def _state(path: Any) -> tuple[int, ...]:
    if is_remote(path):
        return ()
    found = Path(path).stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _checked(places: list[Pathlike]) -> list[_Source]:
    """The recordings with their episodes numbered anew, once all of them may be merged."""
    sources, count = [], 0
    with ExperimentLoader(places[0]) as first:
        for number, place in enumerate(places):
            with contextlib.nullcontext(first) if number == 0 else ExperimentLoader(place) as loader:
                require_finished(loader)
                if number == 0:
                    require_led(first, set())  # episodes get other numbers
                    network = first.get_network_structure()
                else:
                    _require_same_network(first, network, loader)
                # Before its episodes are listed: what is added to it later is noticed.
                state = _state(loader.h5_path)
                numbers = {old: count + at for at, old in enumerate(loader.list_episodes())}
                sources.append(_Source(loader.h5_path, state, numbers))
                count += len(numbers)
    return sources


def _require_same_network(first: ExperimentLoader, network: dict[str, Any], other: ExperimentLoader) -> None:
    for difference in unequal("data", "network", network, other.get_network_structure()):
        raise InputError(
            "recordings", f"the network of {first.experiment_dir}", f"{other.experiment_dir}: {difference}"
        )


def _copy(made: Assembly, sources: list[_Source], progress: Callable[[int, int], None] | None) -> None:
    account, entries = Account(), list[dict[str, Any]]()
    total = sum(len(source.numbers) for source in sources)
    for source in sources:
        with source.opened() as loader:
            if not entries:
                made.begin(loader.h5_file)
                code = loader.get_code_snapshot()
            for old, new in source.numbers.items():
                made.add(loader.h5_file, stored_at(loader, old), episode_path(new), episode_id=new)
                if progress is not None:
                    progress(new + 1, total)
            checkpoints = made.checkpoints(loader.h5_file)
            account.add(loader, list(source.numbers))
            entries.append(entry_of(loader, source.numbers, checkpoints, code))
    made.origin(MERGED, entries)
    account.put(made)
    made.scales(wanted=False)
