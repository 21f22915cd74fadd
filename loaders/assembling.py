"""Finished recordings written anew: packed, merged, split. Each result is compared with what it came from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from loaders.comparing.recordings import differences
from loaders.drafts import (
    Account,
    Pathlike,
    drafted,
    of_which,
    require_finished,
    require_led,
    require_same,
    stored_at,
    target_of,
)
from loaders.experiment import ExperimentLoader
from loaders.find import find_recording
from loaders.merging import merge
from recorder.errors import DamagedError, InputError, ReadError
from recorder.format.layout import SPLIT
from recorder.h5.assembling import Assembly, chosen_filter, page_of
from recorder.h5.lock import RecordingLock
from recorder.h5.repair import needs_recovery

__all__ = ["merge", "pack", "split"]

Progress = Callable[[int, int], None]
_ATTEMPTS = 5
_NAMED = 10


def pack(
    path: Pathlike,
    out: Pathlike | None = None,
    *,
    compression: str | None = "keep",
    level: int | None = None,
    cloud: bool = False,
    scales: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a finished recording anew, without the room that is in no use; returns where it is.

    Soft and external links are kept as they are and not followed, as ``h5repack`` does. Where a loader looks
    for data, it refuses them, and so what stands there cannot be compared: that is an error.

    It is written beside its place, as ``<name>.<process id>-<random>.new``, which a process that is killed
    leaves behind.

    Parameters
    ----------
    out : path, optional
        A file, or a folder that is made; in place of the recording's own file by default.
    compression : str or None
        Filter for every dataset in chunks: ``gzip``, ``lzf``, ``szip``, one of hdf5plugin, None; chunks go
        over as they are stored by default.
    level : int, optional
        Of the filter; only where ``compression`` names one that has levels.
    cloud : bool
        Lay the file out for range reads over a network: HDF5's own structures lie together, apart from data.
    scales : bool
        Give dense streams HDF5's dimension scales, so that programs for netCDF-4 (xarray through h5netcdf)
        know timesteps and neurons by name. The root then has a dataset for each length of an axis.
    progress : callable, optional
        Told of (episodes done, in all).

    Raises
    ------
    OptionError
        A filter or level that cannot be had; or a level without a filter, which would change nothing.
    ReadError
        It is being written, or no recording of flightrec; or the result is not what the recording is.
    FileExistsError
        There is something at ``out``.
    WriteError
        The disk is full. The recording is as it was, and nothing is left of what was to come of it.
    """
    chosen_filter(compression, level)
    with _for_packing(path, in_place=out is None) as loader:
        target = Path(os.path.realpath(loader.h5_path)) if out is None else target_of(out)
        with drafted(target, 1) as draft:
            ids = loader.list_episodes()
            page = page_of(loader.h5_path.stat().st_size) if cloud else 0
            with Assembly(draft.path, compression=compression, level=level, cloud=page) as made:
                made.begin(loader.h5_file)
                _add(made, loader, ids, progress)
                made.checkpoints(loader.h5_file)
                made.scales(wanted=scales)
            draft.require_sound()
            with ExperimentLoader(draft.path) as again:
                for difference in differences(loader, again):
                    if difference.where not in ("compression", "compression_level"):
                        raise DamagedError(f"{draft.path} is not what {loader.h5_path} is: {difference}")
            draft.settle(replace=out is None)
    return target


def split(
    path: Pathlike, episodes: Iterable[int], out: Pathlike, *, progress: Progress | None = None
) -> Path:
    """Write some episodes of a finished recording into one of their own, under their ids.

    Everything around the episodes goes with them, links as in :func:`pack`. The root document ``split``,
    which :meth:`ExperimentLoader.get_origin` returns, says where they came from, and what that was itself put
    together from.

    Raises
    ------
    InputError
        No episodes, or one that is not there; or a soft link leads to one that is left out.
    ReadError, FileExistsError, WriteError
        As :func:`pack`.
    """
    target = target_of(out)
    with ExperimentLoader(path) as loader, drafted(target, 1) as draft:
        require_finished(loader)
        there = set(loader.list_episodes())
        wanted = _of_those(there, episodes)
        require_led(loader, {stored_at(loader, number) for number in wanted})
        with Assembly(draft.path) as made:
            made.begin(loader.h5_file)
            _add(made, loader, wanted, progress)
            made.checkpoints(loader.h5_file)
            note = {"recording": str(loader.h5_path), "of": len(there), "episodes": wanted}
            made.origin(SPLIT, {**note, **of_which(loader)})
            account = Account()
            account.add(loader, wanted)
            account.put(made)
            made.scales(wanted=False)
        draft.require_sound()
        with ExperimentLoader(draft.path) as again:
            require_same(again, loader, {i: i for i in wanted})
        draft.settle(replace=False)
    return target


def _of_those(there: Set[int], episodes: Iterable[int]) -> list[int]:
    """The ids in order; of a range with very many that are not there, a few are enough to refuse it."""
    wanted, missing = set(), []
    for number in episodes:
        if number in there:
            wanted.add(number)
        else:
            missing.append(number)
            if len(missing) > _NAMED:
                break
    if missing or not wanted:
        named = ", ".join(map(str, missing[:_NAMED])) + (", …" if len(missing) > _NAMED else "")
        raise InputError("episodes", "ids of episodes that are there", named or "none")
    return sorted(wanted)


def _add(made: Assembly, loader: ExperimentLoader, ids: Sequence[int], progress: Progress | None) -> None:
    for episode_id in _told(ids, progress):
        path = stored_at(loader, episode_id)
        made.add(loader.h5_file, path, path)


@contextlib.contextmanager
def _for_packing(path: Pathlike, *, in_place: bool) -> Iterator[ExperimentLoader]:
    """A finished recording; to be replaced, with its lock, and opened in the state that it has under it."""
    for _ in range(_ATTEMPTS):
        with ExperimentLoader(path):
            pass  # one that was killed is repaired
        place = find_recording(path)
        before = place.stat()
        with ExperimentLoader(path) as loader:
            require_finished(loader)
            with RecordingLock(place) if in_place else contextlib.nullcontext():
                now = place.stat()
                same = (before.st_ino, before.st_mtime_ns) == (now.st_ino, now.st_mtime_ns)
                if same and not needs_recovery(place):
                    yield loader
                    return
    raise ReadError(f"{path} is resumed by others again and again")


def _told(items: Sequence[Any], progress: Progress | None) -> Iterator[Any]:
    for number, item in enumerate(items):
        yield item
        if progress is not None:
            progress(number + 1, len(items))
