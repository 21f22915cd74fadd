"""The cache of many recordings: what is there, what is missing or stale, and building that."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from loaders.windows.eeg import flags, pool
from loaders.windows.eeg.flags import say
from loaders.windows.eeg.folder import DECODED_BYTES, WindowFolder
from loaders.windows.eeg.index import Index, read_index, source_stamps, write_index
from loaders.windows.eeg.npzread import NpzFile
from loaders.windows.eeg.one import NOTHING, Job, build, misfit
from loaders.windows.eeg.paths import INDEX, PathLike, cache_file_path, check_names, clear_aside
from loaders.windows.eeg.settings import CHANNELS, WINDOW
from recorder.errors import CacheBuildError, MissingAnnotationError, OptionError, ReadError
from recorder.h5 import eegwindows

FORMATS = ("npz", "hdf5")
STALE = ".stale"
"""What the names of files end with that are left out."""
_PARTS = ".parts"
_SHOWN = 3


@dataclass(frozen=True)
class CacheStatus:
    """What of a cache is there.

    Attributes
    ----------
    total_files, cached_files, missing_files : int
        Recordings, those whose windows are there, and those whose windows are not.
    missing : list of Path
        The recordings without windows.
    stale : list of Path
        Recordings whose windows are there, damaged or made with other settings or from other contents;
        building makes them anew.
    """

    total_files: int
    cached_files: int
    missing_files: int
    missing: list[Path]
    stale: list[Path] = field(default_factory=list)


def check_cache_completeness(edf_files: Sequence[PathLike], cache_dir: PathLike) -> CacheStatus:
    """Which recordings have windows in a folder; nothing is built."""
    jobs = make_jobs(edf_files, None, cache_dir)
    place = Path(cache_dir)
    if not place.is_dir():
        return CacheStatus(len(jobs), 0, len(jobs), [job.edf for job in jobs])
    folder = WindowFolder(place)
    stamps = folder.stamps()
    missing = [job.edf for job in jobs if job.target.name not in stamps]
    index = read_index(place, jobs, quiet=True)
    stale = [
        job.edf
        for job in jobs
        if job.target.name in stamps
        and not (index is not None and index.knows(job, stamps))
        and _wrong(job, folder)
    ]
    folder.close()
    return CacheStatus(len(jobs), len(jobs) - len(missing), len(missing), missing, stale)


def make_jobs(
    edf_files: Sequence[PathLike],
    label_files: Sequence[PathLike | None] | None,
    cache_dir: PathLike,
    *,
    allow_missing_labels: bool = False,
) -> list[Job]:
    """Recordings with their annotations and the files that their windows go to.

    Raises
    ------
    OptionError
        As many annotations as recordings are expected; or two recordings have one name.
    """
    files = [Path(path) for path in edf_files]
    check_names(files)
    if label_files is not None and len(label_files) != len(files):
        raise OptionError(f"{len(label_files)} annotation files for {len(files)} recordings")
    given: Sequence[PathLike | None] = [None] * len(files) if label_files is None else label_files
    return [
        Job(
            edf,
            None if labels is None else Path(labels),
            cache_file_path(cache_dir, edf),
            allow_missing_labels,
        )
        for edf, labels in zip(files, given, strict=True)
    ]


def complete(
    jobs: Sequence[Job],
    cache_dir: Path,
    *,
    stored: str | None = None,
    workers: int | None = None,
    allow_damaged: bool = False,
    decoded_bytes: int = DECODED_BYTES,
) -> tuple[WindowFolder, list[int]]:
    """Build what is missing or stale, and the index.

    Parameters
    ----------
    stored : "npz", "hdf5" or None
        What new windows go to; None: to the HDF5 file if there is one. ``"hdf5"`` also takes over NPZ files
        that are there.
    workers : int or None
        Processes; as many as there are cores by default.
    allow_damaged : bool
        Leave out recordings that cannot be used: they are said, and have no windows. An NPZ that is stale is
        renamed to ``….npz.stale`` then.
    decoded_bytes : int
        As :class:`WindowFolder`'s.

    Returns
    -------
    tuple of WindowFolder and list of int
        The folder, and how many windows each recording has.

    Raises
    ------
    CacheBuildError
        Some could not be built; all others were, and the index was not written.
    MissingAnnotationError
        Nothing was built: annotation files are missing, or not named for windows that have labels.
    """
    if stored not in (None, *FORMATS):
        raise OptionError(f"a cache is stored as one of {FORMATS}, not {stored!r}")
    cache_dir.mkdir(parents=True, exist_ok=True)
    folder = WindowFolder(cache_dir, decoded_bytes=decoded_bytes)
    sources = [source_stamps(job) for job in jobs]
    index = read_index(cache_dir, jobs)
    stamps = folder.stamps()
    rest = [
        job for job in jobs if index is None or not index.knows(job, stamps) or index.miscounts(job, folder)
    ]
    moving = [job for job in jobs if stored == "hdf5" and job.target.exists()]
    if index is not None and not rest and not moving:
        counts = [index.counts[job.target.name] for job in jobs]
        say(f"[DATA] Loaded cached index: {len(jobs)} files, {sum(counts)} windows")
        return folder, counts
    if index is not None:
        index.say_changes(rest, folder)
    failed: set[str] = set()
    if moving or _to_build(rest, folder, quiet=True):
        with eegwindows.alone(cache_dir / eegwindows.FILE):
            folder.reopen()
            # Another process may have built them, as long as it had the lock.
            todo = _to_build(rest, folder)
            keep_labels(todo, folder, index)
            names = {job.target.name for job in todo}
            todo += [job for job in moving if job.target.name not in names and job.target.exists()]
            failed = _build(todo, folder, stored, workers, allow_damaged=allow_damaged)
            _set_aside(failed, folder)
            folder.reopen()
    stamps = folder.stamps()
    counts = []
    for job in jobs:
        name = job.target.name
        counts.append(folder.count(name) if name in stamps and name not in failed else 0)
    try:
        write_index(jobs, counts, sources, folder, without=failed)
    except OSError as error:
        say(f"[WARNING] the index of {cache_dir} cannot be written: {error}")
    return folder, counts


def keep_labels(jobs: Sequence[Job], folder: WindowFolder, index: Index | None) -> None:
    """Refuse to build without labels what has them, or had them when the index was written.

    Raises
    ------
    MissingAnnotationError
    """
    losing = [job for job in jobs if job.labels is None and _labelled(job, folder, index)]
    if losing:
        raise MissingAnnotationError(
            f"the windows of {len(losing)} recordings are to be built again, {losing[0].edf} the first, and "
            f"would lose their labels: label_files is to say where these are (without any, remove "
            f"{losing[0].target.name} and {INDEX})"
        )


def _labelled(job: Job, folder: WindowFolder, index: Index | None) -> bool:
    if index is not None and index.labelled(job.target.name):
        return True
    try:
        return folder.look(job.target.name).labelled
    except (FileNotFoundError, ReadError):
        return False


def _wrong(job: Job, folder: WindowFolder) -> str:
    try:
        return misfit(job, folder.look(job.target.name).record)
    except ReadError as error:
        return str(error)


def _to_build(jobs: Sequence[Job], folder: WindowFolder, *, quiet: bool = False) -> list[Job]:
    stamps = folder.stamps()
    missing = [job for job in jobs if job.target.name not in stamps]
    there = [job for job in jobs if job.target.name in stamps]
    # Recordings that were copied are read as a whole, once.
    checked = flags.progress(there, len(there), "check")
    stale = [(job, why) for job in checked if (why := _wrong(job, folder))]
    for job, why in [] if quiet else stale[:_SHOWN]:
        say(f"[WARNING] stale: {job.target.name} is built again: {why}")
    if len(stale) > _SHOWN and not quiet:
        say(f"[WARNING] stale: so are {len(stale) - _SHOWN} other files")
    return missing + [job for job, _ in stale]


def _build(
    jobs: Sequence[Job], folder: WindowFolder, stored: str | None, workers: int | None, *, allow_damaged: bool
) -> set[str]:
    """Build, and return the names of those of which nothing came."""
    absent = [
        job
        for job in jobs
        if job.labels is not None
        and not job.unlabelled
        and not job.labels.exists()
        and (not job.target.exists() or _wrong(job, folder))
    ]
    if absent:
        raise MissingAnnotationError(
            f"{len(absent)} of {len(jobs)} recordings have no annotation file, {absent[0].labels} the "
            "first: that is not the same as having no seizures. allow_missing_labels=True, or "
            "--allow-missing-labels, takes it for that"
        )
    hdf5 = folder.path / eegwindows.FILE
    clear_aside(folder.path)
    if stored == "hdf5" or (stored is None and hdf5.exists()):
        failures = _into_hdf5(jobs, folder, workers)
    else:
        failures = [
            (job, found) for job, found in pool.run(jobs, build, workers) if isinstance(found, Exception)
        ]
    said = []
    for job, error in failures:
        why = pool.describe(error)
        said.append((str(job.edf), why if str(job.edf) in why else f"{job.edf}: {why}"))
        say(f"[WARNING] not built: {said[-1][1]}")
    if said and not allow_damaged:
        more = f" (and {len(said) - 1} others)" if len(said) > 1 else ""
        raise CacheBuildError(
            f"{len(said)} of {len(jobs)} recordings could not be built: {said[0][1]}{more}", said
        ) from failures[0][1]
    return {job.target.name for job, _ in failures}


def _set_aside(names: Collection[str], folder: WindowFolder) -> None:
    """Windows that did not fit, and could not be built again, are none for a manifest to choose."""
    folder.reopen()
    for name in sorted(set(names).intersection(folder.stamps())):
        path, hdf5 = folder.path / name, folder.path / eegwindows.FILE
        if path.exists():
            path.replace(path.with_name(name + STALE))
        if hdf5.exists() and name in eegwindows.entries(hdf5):
            shape = (0, len(CHANNELS), WINDOW)
            eegwindows.append(hdf5, name, shape, (), None, fingerprint="", record=json.dumps(NOTHING))
        say(f"[WARNING] the windows that {name} had are left out")


def _into_hdf5(jobs: Sequence[Job], folder: WindowFolder, workers: int | None) -> list[tuple[Job, Exception]]:
    """Processes make NPZ files, and this one takes them over as they come."""
    path, parts = folder.path / eegwindows.FILE, folder.path / _PARTS
    parts.mkdir(exist_ok=True)
    clear_aside(parts)
    there = [job for job in jobs if job.target.exists() and not _wrong(job, folder)]
    taken = set()
    for job in flags.progress(there, len(there), "move"):
        try:
            _take(job.target, path)
            taken.add(job.target.name)
        except ReadError:
            # What turns out to be damaged is made anew.
            keep_labels([job], folder, None)
    failures = []
    aside = [
        dataclasses.replace(job, target=parts / job.target.name)
        for job in jobs
        if job.target.name not in taken
    ]
    for job, found in pool.run(aside, _part, workers):
        if isinstance(found, Exception):
            failures.append((job, found))
            continue
        _take(job.target, path)
        # An older NPZ of that name would hide it.
        (path.parent / job.target.name).unlink(missing_ok=True)
    eegwindows.finish(path)
    # It stays where it has parts of recordings that this build was not asked for.
    with contextlib.suppress(OSError):
        parts.rmdir()
    return failures


def _take(npz_path: Path, path: Path) -> None:
    """Put an NPZ into the HDF5 file; then it goes."""
    npz = NpzFile(npz_path)
    eegwindows.append(
        path,
        npz_path.name,
        (npz.count, *npz.windows.row),
        npz.windows.rows(),
        None if npz.labels is None else npz.labels.rows(),
        fingerprint=npz.fingerprint,
        record="" if npz.record is None else json.dumps(npz.record),
    )
    npz_path.unlink()


def _part(job: Job) -> int:
    """As :func:`build`, unless a killed program had made it already."""
    with contextlib.suppress(FileNotFoundError, ReadError):
        npz = NpzFile(job.target)
        if not misfit(job, npz.record):
            return npz.count
    return build(job)
