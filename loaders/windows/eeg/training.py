"""The start of a training: the datasets and the weight of seizures, from the manifest where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.windows.eeg import flags
from loaders.windows.eeg.balanced import BalancedSeizureDataset
from loaders.windows.eeg.dataset import EEGWindowDataset
from loaders.windows.eeg.flags import say
from loaders.windows.eeg.manifest import CATEGORIES, NONE, Manifest, scan_existing_cache, validate_manifest
from loaders.windows.eeg.paths import MANIFEST, PathLike, cache_file_path
from loaders.windows.eeg.splits import load_tusz_for_training
from loaders.windows.eeg.weight import compute_pos_weight
from recorder.errors import FlightrecError, NoTrainingDataError, ReadError
from recorder.h5.eegwindows import FILE


@dataclass(frozen=True)
class TrainingStart:
    """What a training begins with.

    Attributes
    ----------
    train : BalancedSeizureDataset or EEGWindowDataset
    val : EEGWindowDataset or None
    seizure_ratio : float
        Share of the training windows that have a seizure; nan where no labels say.
    pos_weight : float
    """

    train: BalancedSeizureDataset | EEGWindowDataset
    val: EEGWindowDataset | None
    seizure_ratio: float
    pos_weight: float


def start_training(
    data_root: PathLike,
    cache_root: PathLike,
    *,
    balanced: bool = True,
    seed: int = 42,
    allow_missing_labels: bool = False,
    **options: Any,
) -> TrainingStart:
    """Begin a training on the official splits.

    Training windows are cached in ``<cache_root>/train``, validation's in ``<cache_root>/dev`` if that is
    there, else in ``val``. ``BGB_SMOKE_TEST`` and ``BGB_LIMIT_FILES`` limit the files of both.

    Parameters
    ----------
    data_root : path
        As :func:`load_tusz_for_training`'s.
    cache_root : path
        Such as ``cache/tusz``.
    balanced, seed, allow_missing_labels
        As :func:`start_dataset`'s.
    **options
        Further ones of :class:`EEGWindowDataset`.

    Raises
    ------
    As :func:`load_tusz_for_training` and :func:`start_dataset`.
    """
    splits = load_tusz_for_training(data_root, allow_missing_labels=allow_missing_labels)
    limit = flags.file_limit()
    (train, train_labels), (dev, dev_labels) = splits["train"], splits["dev"]
    if limit is not None:
        of_dev = flags.validation_limit(limit)
        train, train_labels = train[:limit], train_labels[:limit]
        dev, dev_labels = dev[:of_dev], dev_labels[:of_dev]
    root, options = Path(cache_root), {**options, "allow_missing_labels": allow_missing_labels}
    dataset, ratio, weight = start_dataset(
        train, train_labels, root / "train", balanced=balanced, seed=seed, **options
    )
    val = EEGWindowDataset(dev, dev_labels, root / ("dev" if (root / "dev").is_dir() else "val"), **options)
    return TrainingStart(dataset, val, ratio, weight)


def start_dataset(
    edf_files: Sequence[PathLike],
    label_files: Sequence[PathLike | None] | None,
    cache_dir: PathLike,
    *,
    balanced: bool = True,
    seed: int = 42,
    **options: Any,
) -> tuple[BalancedSeizureDataset | EEGWindowDataset, float, float]:
    """The training's dataset, the share of its windows that have a seizure, and the weight of these.

    With a manifest that fits, windows are chosen and weighed without any being read. One that is damaged or
    stale, or with ``BGB_FORCE_MANIFEST_REBUILD=1``, is made anew from the files that are there; where there
    are none, they are built first. In a smoke test (``BGB_SMOKE_TEST=1``) all windows are taken where no
    balanced choice can be made.

    Parameters
    ----------
    balanced : bool
        Choose windows by :class:`BalancedSeizureDataset`; else take all.
    seed : int
        Of the choice.
    **options
        Further ones of :class:`EEGWindowDataset`.

    Raises
    ------
    NoTrainingDataError
        There are no windows, or none with a seizure, outside of a smoke test; uncaught, the program ends with
        exit code 1.
    NoSeizuresError
        There are seizures, but no window with a part of one, to choose others for.
    FlightrecError
        The cache cannot be built.
    """
    place = Path(cache_dir)
    everything: EEGWindowDataset | None = None
    if balanced:
        _drop_stale_manifest(place)
        if not (place / MANIFEST).exists() and not _has_windows(place):
            everything = EEGWindowDataset(edf_files, label_files, place, **options)
        if not (place / MANIFEST).exists() and _has_windows(place):
            scan_existing_cache(place)
        chosen = _balanced(place, edf_files, seed)
        if chosen is not None:
            say("[DATASET] Using BalancedSeizureDataset known distribution")
            say(f"[DATASET] Seizure ratio: {100 * chosen.seizure_ratio:.1f}% (from manifest)")
            return chosen, chosen.seizure_ratio, _weight(chosen.seizure_ratio)
    dataset = everything or EEGWindowDataset(edf_files, label_files, place, **options)
    if not len(dataset):
        _refuse(f"there are no windows in {place}")
    ratio = _ratio_of_all(place, {cache_file_path(place, path).name for path in edf_files})
    if not ratio > 0:
        _refuse(f"no window in {place} has a seizure")
    say(f"[DATASET] Seizure ratio: {100 * ratio:.1f}% (all windows)")
    return dataset, ratio, _weight(ratio)


def _drop_stale_manifest(place: Path) -> None:
    path = place / MANIFEST
    if not path.exists():
        return
    if flags.is_on(flags.FORCE_REBUILD):
        say("[DATA] BGB_FORCE_MANIFEST_REBUILD=1 → deleting manifest for rebuild")
        path.unlink(missing_ok=True)
        return
    try:
        valid = validate_manifest(place, Manifest.read(path))
    except ReadError as error:
        say(f"[WARNING] {error}")
        valid = False
    if not valid:
        say("[WARNING] Invalid/stale manifest detected → deleting for rebuild")
        path.unlink(missing_ok=True)


def _has_windows(place: Path) -> bool:
    return (place / FILE).exists() or any(place.glob("*.npz"))


def _balanced(place: Path, edf_files: Sequence[PathLike], seed: int) -> BalancedSeizureDataset | None:
    # The folder may have windows of others as well, such as recordings set aside for validation.
    wanted = {cache_file_path(place, path).name for path in edf_files}
    try:
        chosen = BalancedSeizureDataset(place, seed=seed, files=wanted)
    except (FlightrecError, OSError) as error:
        if flags.is_on(flags.SMOKE_TEST):
            say(f"[WARNING] no balanced dataset, all windows instead, as this is a smoke test: {error}")
            return None
        _check_any(place, wanted)
        raise
    missing = len(wanted - chosen.cached)
    if missing:
        say(f"[WARNING] {missing} of {len(wanted)} recordings are not cached in {place}: see build-cache")
    say(f"[DATASET] BalancedSeizureDataset: {len(chosen)} windows from manifest")
    return chosen


def _check_any(place: Path, wanted: set[str]) -> None:
    """The error of a cache that no training can use says so."""
    try:
        manifest = Manifest.read(place / MANIFEST)
    except (ReadError, OSError):
        return
    kinds = {name for name in CATEGORIES if wanted.intersection(manifest.tables[name][0])}
    if not kinds:
        _refuse(f"there are no windows of these {len(wanted)} recordings in {place}")
    if kinds == {NONE}:
        _refuse(f"no window of these {len(wanted)} recordings in {place} has a seizure")


def _ratio_of_all(place: Path, names: set[str]) -> float:
    manifest = _sound_manifest(place)
    counts = {name: sum(e["cache_file"] in names for e in manifest[name]) for name in CATEGORIES}
    total = sum(counts.values())
    return (total - counts[NONE]) / total if total else float("nan")


def _sound_manifest(place: Path) -> Manifest:
    try:
        found = Manifest.read(place / MANIFEST)
    except (FileNotFoundError, ReadError):
        return Manifest.of(scan_existing_cache(place))
    return found if validate_manifest(place, found) else Manifest.of(scan_existing_cache(place))


def _weight(ratio: float) -> float:
    weight = compute_pos_weight(0.0 if math.isnan(ratio) else ratio)
    say(f"[DATASET] Using pos_weight: {weight:.2f} (sqrt scaling)")
    return weight


def _refuse(why: str) -> None:
    """Say why nothing can be trained, unless this is a smoke test, which has few files."""
    if flags.is_on(flags.SMOKE_TEST):
        say(f"[WARNING] {why}; this is a smoke test, and goes on")
        return
    say(f"❌ {why}")
    raise NoTrainingDataError(why)
