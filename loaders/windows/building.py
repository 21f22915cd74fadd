"""Making a cache of windows, and adding subjects to one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loaders.windows.filling import Filler, SubjectError
from loaders.windows.options import settings_of
from loaders.windows.plan import Places, Plan, Subjects, check_subjects, look_at, source_for
from loaders.windows.telling import Telling
from recorder.errors import CacheMismatchError, FlightrecError, OptionError, ReadError
from recorder.h5.windows.layout import Settings
from recorder.h5.windows.lock import building
from recorder.h5.windows.reading import WindowFile
from recorder.h5.windows.writing import CacheWriter, Encoder, create_cache, put_in_place, remove_draft

DRAFT_SUFFIX = ".partial"


@dataclass
class CacheReport:
    """What a build did.

    Attributes
    ----------
    path : Path
    windows, subjects : int
        In the cache now.
    added : list of str
        Subjects that came with this call.
    kept : list of str
        Subjects asked for that were there: from an earlier call, or from a build that was killed.
    too_short : list of str
        Subjects without a whole window.
    failed : dict
        Subject: the exception that it met. Nothing of it is in the cache.
    """

    path: Path
    windows: int = 0
    subjects: int = 0
    added: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    too_short: list[str] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)


def create_hdf5_cache(
    subject_ids: Subjects,
    window_size: int = 2000,
    stride: int = 500,
    subject_cache_dir: str | os.PathLike[str] = "meg_cache",
    hdf5_path: str | os.PathLike[str] = "meg_windows.hdf5",
    base_path: str | os.PathLike[str] | None = None,
    compression: str | None = None,
    *,
    dtype: str = "float16",
    normalisation: str = "window",
    epsilon: float = 1e-8,
    sampling_rate: float | None = None,
    picks: str | Sequence[str] | None = None,
    overwrite: bool = False,
    verbose: bool = True,
) -> CacheReport:
    """Cut the recordings of subjects into windows, in one HDF5 file.

    Windows begin at 0, ``stride``, 2 ``stride`` … while they fit. They are made by all cores in constant
    memory, subject by subject, in a draft beside the file that takes its place at the end. A build that was
    killed goes on after the last whole subject. Where there is a cache already, subjects that it lacks are
    added, each as a whole; who reads the cache meanwhile sees what was there. A subject that fails is
    reported, and nothing of it is stored.

    Parameters
    ----------
    subject_ids : sequence of str, or mapping
        Names, whose data are ``<subject_cache_dir>/<name>.npz`` (key ``data``; also ``.npy``, ``.pt``,
        ``.fif``, ``.edf``, ``.bdf``), else ``<base_path>/<name>/meg/<name>_task-rest_meg.fif`` or
        ``<base_path>/<name>.*``. A mapping gives each name its file, or a source such as those of
        :func:`episode_sources`. All are (channels, samples), with one number of channels.
    window_size, stride : int
        Samples.
    subject_cache_dir, base_path : path
        Where data are looked for.
    hdf5_path : path
        The cache.
    compression : None, "gzip", "lzf" or a filter of hdf5plugin
        None by default: inflating takes four times as long as all of reading does without.
    dtype : "float16" or "float32"
        What is stored. float16, the default, rounds to 11 significant bits (0.05 %), and takes half the
        space; windows are read as float32 either way.
    normalisation : "window", "recording" or "none"
        Of each channel: by mean and population deviation plus ``epsilon`` of each window; by mean and
        sample deviation of the whole recording; or as it comes. A constant channel becomes 0 by the first
        two.
    epsilon : float
    sampling_rate : float, optional
        Hz, where the sources do not say; where they do, it must be theirs.
    picks : str or sequence of str, optional
        Channels of ``.fif``, EDF and BDF files, as MNE takes them; all MEG, else all data channels by
        default. They are read in fT, fT/cm and µV.
    overwrite : bool
        Make the cache anew; the old one stays until the new one is whole.
    verbose : bool
        Print what is done. A progress bar is shown where standard error is a terminal.

    Returns
    -------
    CacheReport

    Raises
    ------
    OptionError
        A parameter cannot be what it is, or a subject is given twice.
    CacheMismatchError
        The cache there has other settings, or a subject's file has changed since.
    ReadError
        No subject has a window; or what is at ``hdf5_path`` is no cache.
    StorageLockedError
        Another process is making this cache.
    WriteError
        It could not be stored.
    """
    settings = settings_of(window_size, stride, compression, dtype, normalisation, epsilon, sampling_rate)
    chosen = picks if picks is None or isinstance(picks, str) else tuple(picks)
    places = Places(Path(subject_cache_dir), None if base_path is None else Path(base_path), chosen)
    names = check_subjects(subject_ids)
    return build(
        names,
        lambda name: source_for(subject_ids, name, places),
        settings,
        hdf5_path,
        overwrite=overwrite,
        verbose=verbose,
    )


def build(
    names: Sequence[str],
    source: Callable[[str], Any],
    settings: Settings,
    path: str | os.PathLike[str],
    *,
    overwrite: bool,
    verbose: bool,
    check: Callable[[Plan], None] = lambda _: None,
) -> CacheReport:
    """Make a cache, or add to it; see :func:`create_hdf5_cache`.

    ``check`` is called with each plan that was looked at, and may raise.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise OptionError(f"hdf5_path: there is no folder {target.parent}")
    with building(target):
        work = _Build(target, settings, Telling(verbose))
        return work.run(names, source, overwrite=overwrite, check=check)


class _Build:
    def __init__(self, path: Path, settings: Settings, tell: Telling) -> None:
        self._path, self._settings, self._tell = path, settings, tell
        self._draft = path.with_name(path.name + DRAFT_SUFFIX)
        self._report = CacheReport(path)
        self._encoder = Encoder(None if settings.compression == "none" else settings.compression)

    def run(
        self,
        names: Sequence[str],
        source: Callable[[str], Any],
        *,
        overwrite: bool,
        check: Callable[[Plan], None],
    ) -> CacheReport:
        adds = self._path.exists() and not overwrite
        there = self._existing() if adds else None
        self._tell.counting(self._settings, len(names))
        plans = self._counted(names, source, check, there)
        if there is None:
            there = self._resumable(plans)
        plans = self._of_one_shape(plans, there)
        if there is None and not plans:
            raise ReadError(self._nothing())
        known = set() if there is None else set(there.names)
        fresh = [plan for plan in plans if plan.subject not in known]
        self._report.kept = [name for name in names if name in known]
        self._tell.counted(sum(plan.windows for plan in plans))
        total = sum(plan.windows for plan in fresh) + (0 if there is None else there.shape[0])
        shape = (total, plans[0].channels if there is None else there.shape[1], self._settings.window_size)
        self._tell.creating(shape, self._settings)
        where = self._path if adds else self._draft
        if there is None:
            create_cache(self._draft, self._settings, shape[1])
        else:
            there.close()
        self._tell.created()
        self._fill(fresh, where, shown=adds)
        return self._finish(where)

    def _finish(self, where: Path) -> CacheReport:
        report = self._report
        with contextlib.closing(WindowFile(where)) as made:
            report.windows, report.subjects = made.shape[0], len(made.names)
        if where == self._draft:
            if not report.windows:
                remove_draft(where)
                raise ReadError(self._nothing())
            put_in_place(self._draft, self._path)
        remove_draft(self._draft)
        self._tell.complete(report.path, report.windows, len(report.failed))
        return report

    def _nothing(self) -> str:
        report = self._report
        why = [f"{name}: {error}" for name, error in report.failed.items()]
        why += [f"{name}: shorter than a window" for name in report.too_short]
        return f"no subject has a window of {self._settings.window_size} samples: {'; '.join(why[:5])}"

    def _existing(self) -> WindowFile:
        found = WindowFile(self._path)
        if wrong := _differences(found, self._settings):
            raise CacheMismatchError(
                f"{self._path} was made with other settings ({wrong}): give those, another hdf5_path, or "
                "overwrite=True to make it anew"
            )
        return found

    def _resumable(self, plans: list[Plan]) -> WindowFile | None:
        """The draft of a killed build, if it is of this one."""
        if self._draft.exists():
            with contextlib.suppress(FlightrecError, OSError):
                found = WindowFile(self._draft)
                given = {plan.subject: plan for plan in plans}
                if (
                    not _differences(found, self._settings)
                    and all(name in given for name in found.names)
                    and not any(map(_changed(found), (given[name] for name in found.names)))
                ):
                    self._tell.resuming(len(found.names))
                    return found
        remove_draft(self._draft)
        return None

    def _counted(
        self,
        names: Sequence[str],
        source: Callable[[str], Any],
        check: Callable[[Plan], None],
        there: WindowFile | None,
    ) -> list[Plan]:
        """Plans of the subjects that have windows."""
        plans: list[Plan] = []
        changed = (lambda _: False) if there is None else _changed(there)
        for name in self._tell.bar(names, "Counting", "subject"):
            kept = there is not None and name in there.names
            try:
                plan = Plan(name, source(name))
                look_at(plan, self._settings, self._path.parent)
                check(plan)
                _check_rate(plan, self._settings)
            except OptionError:
                raise
            except Exception as error:
                # Whatever the parsers of many formats meet: it is that subject's failure.
                if kept:
                    # Its windows are here, whatever has become of its file.
                    continue
                self._report.failed[name] = error
                self._tell.failed_counting(name, error)
                continue
            if changed(plan):
                raise CacheMismatchError(
                    f"{self._path}: the file of {name!r} has changed since its windows were made; "
                    "overwrite=True makes the cache anew"
                )
            if plan.windows:
                plans.append(plan)
            else:
                self._report.too_short.append(name)
                self._tell.too_short(name)
        return plans

    def _of_one_shape(self, plans: list[Plan], there: WindowFile | None) -> list[Plan]:
        """Without those that have another number of channels, or rate, than the cache or else the first
        one."""
        if not plans:
            return plans
        channels = plans[0].channels if there is None else there.shape[1]
        rate = self._settings.sampling_rate
        if rate is None and there is not None and "sampling_rate" in there.attributes:
            rate = float(there.attributes["sampling_rate"])
        if rate is None:
            rate = next((plan.rate for plan in plans if plan.rate is not None), None)
        kept = []
        for plan in plans:
            wrong = None
            if plan.channels != channels:
                wrong = f"it has {plan.channels} channels, and the cache {channels}"
            elif plan.rate is not None and rate is not None and plan.rate != rate:
                wrong = f"it was sampled at {plan.rate:g} Hz, and the cache at {rate:g} Hz"
            if wrong is None:
                kept.append(plan)
                continue
            self._report.failed[plan.subject] = error = ReadError(wrong)
            self._tell.failed_counting(plan.subject, error)
        if rate is not None and there is None:
            self._settings = _with_rate(self._settings, rate)
        return kept

    def _fill(self, plans: list[Plan], where: Path, *, shown: bool) -> None:
        writer = CacheWriter(where, shown=shown)
        try:
            with (
                Filler(plans, self._settings, self._encoder, self._path.parent) as filler,
                self._tell.filling(sum(plan.windows for plan in plans)) as bar,
            ):
                for plan in plans:
                    try:
                        with writer.subject(plan.subject, plan.text, plan.source.place()) as subject:
                            for block in filler.blocks(plan):
                                subject.add(block)
                                bar.update(len(block))
                    except SubjectError as error:
                        cause = error.__cause__
                        assert isinstance(cause, Exception)
                        self._report.failed[plan.subject] = cause
                        self._tell.failed_filling(plan.subject, cause)
                        continue
                    self._report.added.append(plan.subject)
        finally:
            writer.close()


def _with_rate(settings: Settings, rate: float) -> Settings:
    from dataclasses import replace

    return replace(settings, sampling_rate=rate)


def _check_rate(plan: Plan, settings: Settings) -> None:
    wanted = settings.sampling_rate
    if wanted is not None and plan.rate is not None and plan.rate != wanted:
        raise ReadError(f"it was sampled at {plan.rate:g} Hz, and sampling_rate is {wanted:g}")


def _differences(found: WindowFile, settings: Settings) -> str:
    """What a cache was made with that is not asked for; empty where nothing is."""
    stored, wrong = found.attributes, []
    for key in ("window_size", "stride", "normalisation", "epsilon", "dtype", "compression", "sampling_rate"):
        wanted, has = getattr(settings, key), stored.get(key)
        if wanted is None or has == wanted or (key == "sampling_rate" and has is None):
            continue
        wrong.append(f"{key} {'not recorded' if has is None else has!s}, not {wanted}")
    return ", ".join(wrong)


def _changed(there: WindowFile) -> Callable[[Plan], bool]:
    """Whether a plan's source is another one than its windows in a cache were made from."""
    records = {name: _without_path(text) for name, text in zip(there.names, there.sources, strict=False)}

    def changed(plan: Plan) -> bool:
        return plan.subject in records and records[plan.subject] != _without_path(plan.text)

    return changed


def _without_path(record: str) -> Any:
    found = json.loads(record)
    # Data may have been moved, or be mounted elsewhere.
    found.pop("path", None)
    return found
