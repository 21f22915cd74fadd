"""``build-cache`` and ``scan-cache``: commands of ``flightrec`` and of ``python -m loaders``."""

from __future__ import annotations

from pathlib import Path

import click

from loaders.windows.eeg import flags
from recorder.errors import FlightrecError

FAILED, NO_SEIZURES = 1, 2


@click.command("build-cache")
@click.option(
    "--data-dir",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="EDF files.",
)
@click.option(
    "--cache-dir", required=True, type=click.Path(file_okay=False, path_type=Path), help="Windows go here."
)
@click.option("--split", type=click.Choice(["train", "dev", "val"]), default="train", show_default=True)
@click.option(
    "--validation-split",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Set aside this share of files for dev, where --data-dir is not split.",
)
@click.option("--limit-files", type=click.IntRange(1), help="Only the first so many.")
@click.option(
    "--format", "stored", type=click.Choice(["npz", "hdf5"]), help="By default as the cache is, or npz."
)
@click.option("--workers", type=click.IntRange(1), help="Processes; by default one a core.")
@click.option("--allow-missing-labels", is_flag=True, help="A recording without a .csv has no seizures.")
@click.option("--allow-damaged", is_flag=True, help="Leave out recordings that cannot be used.")
def build_cache(
    data_dir: Path,
    cache_dir: Path,
    split: str,
    validation_split: float,
    limit_files: int | None,
    stored: str | None,
    workers: int | None,
    allow_missing_labels: bool,
    allow_damaged: bool,
) -> None:
    """Cut EEG recordings into labelled windows for training.

    The cache's manifest is written, too. All EDF files below --data-dir are the split's; if that folder has
    several of train, dev and eval, those of the one that --split names. Windows that are there and fit are
    kept: an interrupted build goes on.

    \b
    Examples:
      flightrec build-cache --data-dir tusz/edf/train --cache-dir cache/tusz/train --split train
      flightrec build-cache --data-dir tusz/edf/dev --cache-dir cache/tusz/val --split val --format hdf5

    \b
    Exit codes:
      0  done
      1  recordings or the cache cannot be used
      2  no window has a seizure
    """
    try:
        seizures = _build(
            data_dir,
            cache_dir,
            split,
            validation_split,
            limit_files,
            stored=stored,
            workers=workers,
            allow_missing_labels=allow_missing_labels,
            allow_damaged=allow_damaged,
        )
    except (FlightrecError, OSError) as error:
        click.echo(f"Cache build error: {_one_line(error)}", err=True)
        raise SystemExit(FAILED) from error
    if not seizures:
        flags.say("❌ No seizures found in cache. Refusing to proceed to training.")
        raise SystemExit(NO_SEIZURES)


def _build(
    data_dir: Path,
    cache_dir: Path,
    split: str,
    validation_split: float,
    limit_files: int | None,
    *,
    stored: str | None,
    workers: int | None,
    allow_missing_labels: bool,
    allow_damaged: bool,
) -> int:
    from loaders.windows.eeg.cache import check_cache_completeness, complete, make_jobs
    from loaders.windows.eeg.manifest import FULL, PARTIAL, Manifest, scan_existing_cache
    from loaders.windows.eeg.paths import edf_files_below, label_path
    from loaders.windows.eeg.splits import set_aside, split_folder
    from recorder.errors import CacheBuildError, ReadError

    source = split_folder(data_dir, split)
    files = edf_files_below(source)
    if validation_split:
        files = set_aside(files, validation_split)[0 if split == "train" else 1]
    limit = flags.file_limit() if limit_files is None else limit_files
    if limit is not None:
        origin = (
            "--limit-files"
            if limit_files is not None
            else flags.SMOKE_TEST
            if flags.is_on(flags.SMOKE_TEST)
            else flags.LIMIT_FILES
        )
        flags.say(f"Limiting to {limit} files (from {origin})")
        files = files[:limit]
    if not files:
        raise ReadError(f"there are no EDF files below {source}")
    flags.say(f"Building cache for {split} split ({len(files)} files) from {source}")
    status = check_cache_completeness(files, cache_dir)
    flags.say(
        f"Cache status: {status.cached_files}/{status.total_files} present, missing {status.missing_files}"
    )
    jobs = make_jobs(
        files, [label_path(path) for path in files], cache_dir, allow_missing_labels=allow_missing_labels
    )
    try:
        folder, _ = complete(jobs, cache_dir, stored=stored, workers=workers, allow_damaged=allow_damaged)
        folder.close()
    except CacheBuildError:
        _say_incomplete(check_cache_completeness(files, cache_dir).missing_files)
        raise
    _say_incomplete(check_cache_completeness(files, cache_dir).missing_files)
    manifest = Manifest.of(scan_existing_cache(cache_dir))
    seizures = len(manifest[PARTIAL]) + len(manifest[FULL])
    if seizures:
        flags.say(f"✅ Cache build complete + manifest: {manifest.counts()}")
    return seizures


def _say_incomplete(missing: int) -> None:
    if missing:
        flags.say(f"⚠️ Cache incomplete: {missing} missing after build")


@click.command("scan-cache")
@click.option(
    "--cache-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Windows.",
)
def scan_cache(cache_dir: Path) -> None:
    """Write the manifest of a cache of EEG windows.

    It says which windows have a seizure in part, all through, or not at all. Damaged files and those without
    labels are named and left out.

    \b
    Examples:
      flightrec scan-cache --cache-dir cache/tusz/train

    \b
    Exit codes:
      0  done
      1  the cache cannot be used
      2  no window has a seizure
    """
    from loaders.windows.eeg.manifest import FULL, PARTIAL, Manifest, scan_existing_cache
    from loaders.windows.eeg.paths import MANIFEST

    try:
        manifest = Manifest.of(scan_existing_cache(cache_dir))
    except (FlightrecError, OSError) as error:
        click.echo(f"Manifest scan error: {_one_line(error)}", err=True)
        raise SystemExit(FAILED) from error
    if not manifest[PARTIAL] and not manifest[FULL]:
        flags.say("❌ No seizures detected across cache — investigate CSV parsing/paths")
        raise SystemExit(NO_SEIZURES)
    flags.say(f"✅ Manifest created: {manifest.counts()} at {cache_dir / MANIFEST}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
