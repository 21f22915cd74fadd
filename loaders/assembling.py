"""Finished recordings written anew: packed, merged, split. Each result is compared with what it came from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from loaders.comparing.difference import unequal
from loaders.comparing.episodes import unequal_episodes
from loaders.comparing.recordings import differences
from loaders.experiment import ExperimentLoader
from loaders.find import find_recording
from recorder.errors import DamagedError, InputError, ReadError, WriteError
from recorder.format.layout import (
    DATA_FILE,
    DROPPED,
    EPISODES,
    INTERRUPTED,
    MERGED,
    RECOVERED_STEPS,
    SPLIT,
    UNVERIFIED,
    episode_path,
)
from recorder.h5.assembling import Assembly, chosen_filter, page_of, settle, soft_links
from recorder.h5.draft import failed
from recorder.h5.lock import RecordingLock
from recorder.h5.repair import needs_recovery
from recorder.h5.verify import verify
from recorder.h5.verify.walk import LINK

Progress = Callable[[int, int], None]
Pathlike = str | os.PathLike[str]
_SUMS = (DROPPED, RECOVERED_STEPS)
_ATTEMPTS = 5


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
        target = Path(os.path.realpath(loader.h5_path)) if out is None else _target(out)
        with _draft(target, [loader.h5_path]) as draft:
            ids = loader.list_episodes()
            page = page_of(loader.h5_path.stat().st_size) if cloud else 0
            with Assembly(draft, compression=compression, level=level, cloud=page) as made:
                made.begin(loader.h5_file)
                _add(made, loader, ids, progress)
                made.checkpoints(loader.h5_file)
                made.scales(wanted=scales)
            _require_sound(draft)
            with ExperimentLoader(draft) as again:
                for difference in differences(loader, again):
                    if difference.where not in ("compression", "compression_level"):
                        raise DamagedError(f"{draft} is not what {loader.h5_path} is: {difference}")
            settle(draft, target, replace=out is None)
    return target


def split(
    path: Pathlike, episodes: Sequence[int], out: Pathlike, *, progress: Progress | None = None
) -> Path:
    """Write some episodes of a finished recording into one of their own, under their ids.

    Everything around the episodes goes with them, links as in :func:`pack`; the root document ``split`` says
    where they came from.

    Raises
    ------
    InputError
        No episodes, or one that is not there; or a soft link leads to one that is left out.
    ReadError, FileExistsError, WriteError
        As :func:`pack`.
    """
    target = _target(out)
    with ExperimentLoader(path) as loader, _draft(target, [loader.h5_path]) as draft:
        _require_finished(loader)
        there = loader.list_episodes()
        wanted = sorted(set(episodes))
        missing = [number for number in wanted if number not in there]
        if missing or not wanted:
            raise InputError("episodes", "ids of episodes that are there", str(missing or "none"))
        _require_led(loader, {_path_of(loader, number) for number in wanted})
        with Assembly(draft) as made:
            made.begin(loader.h5_file)
            _add(made, loader, wanted, progress)
            made.checkpoints(loader.h5_file)
            made.note(SPLIT, {"recording": str(loader.experiment_dir), "of": len(there), "episodes": wanted})
            _count(made, [(loader, wanted)])
            made.scales(wanted=False)
        _check(draft, [(loader, {i: i for i in wanted})])
        settle(draft, target, replace=False)
    return target


def merge(paths: Iterable[Pathlike], out: Pathlike, *, progress: Progress | None = None) -> Path:
    """Write the episodes of several finished recordings into one, numbered anew in the order given.

    Configuration, metadata, code and network are those of the first; the root document ``merged`` has those
    of all, and which episode was which. Networks must be the same. Where one of them has dimension scales,
    the streams of all episodes get them.

    Raises
    ------
    InputError
        No recordings; or their networks differ; or a soft link of the first leads to an episode, whose number
        will be another.
    ReadError, FileExistsError, WriteError
        As :func:`pack`.
    """
    with contextlib.ExitStack() as stack:
        loaders = [stack.enter_context(ExperimentLoader(path)) for path in paths]
        if not loaders:
            raise InputError("recordings", "one at least", "none")
        target = _target(out)
        draft = stack.enter_context(_draft(target, [loader.h5_path for loader in loaders]))
        for loader in loaders:
            _require_finished(loader)
        first = loaders[0]
        for other in loaders[1:]:
            _require_same_network(first, other)
        _require_led(first, set())  # episodes get other numbers
        pairs = [(loader, episode_id) for loader in loaders for episode_id in loader.list_episodes()]
        numbers: list[dict[int, int]] = [{} for _ in loaders]
        for number, (loader, episode_id) in enumerate(pairs):
            numbers[loaders.index(loader)][episode_id] = number
        with Assembly(draft) as made:
            made.begin(first.h5_file)
            for number, (loader, episode_id) in enumerate(_told(pairs, progress)):
                made.add(
                    loader.h5_file, _path_of(loader, episode_id), episode_path(number), episode_id=number
                )
            for loader in loaders:
                made.checkpoints(loader.h5_file)
            made.note(MERGED, [_origin(loader, ids) for loader, ids in zip(loaders, numbers, strict=True)])
            _count(made, [(loader, list(ids)) for loader, ids in zip(loaders, numbers, strict=True)])
            made.scales(wanted=False)
        _check(draft, list(zip(loaders, numbers, strict=True)))
        settle(draft, target, replace=False)
    return target


def _target(out: Pathlike) -> Path:
    place = Path(out)
    if place.suffix not in (".h5", ".hdf5"):
        place = place / DATA_FILE
    if place.exists():
        raise FileExistsError(f"{place} exists already")
    return place


@contextlib.contextmanager
def _draft(target: Path, sources: list[Path]) -> Iterator[Path]:
    """Where to write what becomes ``target``; where that fails, nothing is left, nor folders made for it."""
    made = [folder for folder in target.parents if not folder.exists()]
    draft = target.with_name(target.name + ".new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        made = []
    except WriteError as error:
        cause = error.__cause__
        why = failed(target, cause) if isinstance(cause, OSError) else error
        whole = "the recording is" if len(sources) == 1 else "the recordings are"
        raise WriteError(f"{why}; {whole} as before") from cause
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _require_finished(loader: ExperimentLoader) -> None:
    if loader._recording.original:
        raise ReadError(f"{loader.h5_path} is a file of the original system, whose layout is another")
    if loader._recording.living:
        raise ReadError(f"{loader.h5_path} is being written")


def _require_led(loader: ExperimentLoader, episodes: set[str]) -> None:
    """Make sure that every soft link which goes along leads to what it led to; episodes by their paths."""
    for place, target in soft_links(loader.h5_file):
        within = target.removeprefix("/").split("/")
        if within[0] == EPISODES and len(within) > 1 and "/".join(within[:2]) not in episodes:
            raise InputError(f"soft link {place}", "a link to what the result has", target)


def _require_same_network(a: ExperimentLoader, b: ExperimentLoader) -> None:
    for difference in unequal("data", "network", a.get_network_structure(), b.get_network_structure()):
        raise InputError(
            "recordings", f"the network of {a.experiment_dir}", f"{b.experiment_dir}: {difference}"
        )


def _path_of(loader: ExperimentLoader, episode_id: int) -> str:
    name = loader._recording.episodes().ids[episode_id]
    return f"{EPISODES}/{name}"


def _add(made: Assembly, loader: ExperimentLoader, ids: Sequence[int], progress: Progress | None) -> None:
    for episode_id in _told(ids, progress):
        path = _path_of(loader, episode_id)
        made.add(loader.h5_file, path, path)


def _count(made: Assembly, parts: list[tuple[ExperimentLoader, list[int]]]) -> None:
    """Root attributes that say when and how many, over all that is in the file."""
    facts = [loader.get_episode(number).get_metadata() for loader, ids in parts for number in ids]
    roots = [loader.attributes for loader, _ in parts]
    statuses = {str(root.get("status")) for root in roots}
    texts = {"status": statuses.pop() if len(statuses) == 1 else INTERRUPTED}
    for name, choose in (("start_time", min), ("end_time", max)):
        times = [str(root[name]) for root in roots if name in root]
        texts |= {name: choose(times)} if times else {}
    numbers = {"episode_count": len(facts), "total_episodes": len(facts)}
    sums = {name: sum(row.get(name, 0) for row in facts) for name in _SUMS}
    # Which steps a power cut may have torn is known of whole recordings alone.
    sums[UNVERIFIED] = sum(root.get(UNVERIFIED, 0) for root in roots)
    made.put(texts, numbers | sums)


def _origin(loader: ExperimentLoader, numbers: dict[int, int]) -> dict[str, Any]:
    return {
        "recording": str(loader.experiment_dir),
        "attributes": loader.attributes,
        "config": loader.get_config(),
        "metadata": loader.get_metadata(),
        "git": loader.get_git_info(),
        "runtime": loader.get_runtime_info(),
        "episodes": [[old, new] for old, new in numbers.items()],
    }


def _check(draft: Path, sources: list[tuple[ExperimentLoader, dict[int, int]]]) -> None:
    """Compare what was written with where it came from.

    Raises
    ------
    DamagedError
        It is not the same.
    """
    _require_sound(draft)
    with ExperimentLoader(draft) as made:
        for loader, numbers in sources:
            for old, new in numbers.items():
                for difference in unequal_episodes(loader.get_episode(old), made.get_episode(new)):
                    if difference.where != f"episode {old}.episode_id":
                        raise DamagedError(f"{draft} is not what {loader.h5_path} is: {difference}")


def _require_sound(draft: Path) -> None:
    for finding in verify(draft):
        if finding.message != LINK:  # those of the source are kept
            raise DamagedError(f"{draft}: {finding}")


@contextlib.contextmanager
def _for_packing(path: Pathlike, *, in_place: bool) -> Iterator[ExperimentLoader]:
    """A finished recording; to be replaced, with its lock, and opened in the state that it has under it."""
    for _ in range(_ATTEMPTS):
        with ExperimentLoader(path):
            pass  # one that was killed is repaired
        place = find_recording(path)
        before = place.stat()
        with ExperimentLoader(path) as loader:
            _require_finished(loader)
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
