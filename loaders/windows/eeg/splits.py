"""The official splits of TUSZ, and that no patient is in two of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loaders.windows.eeg.flags import say
from loaders.windows.eeg.paths import PathLike, edf_files_below, label_path
from recorder.errors import MissingAnnotationError, OptionError, PatientLeakageError, ReadError

OFFICIAL = ("train", "dev", "eval")
_SHOWN = 5

Files = tuple[list[Path], list[Path]]
"""Recordings, and the annotation file of each."""


def extract_patient_id(path: PathLike) -> str:
    """The patient of a recording: its name up to the first ``_``, as in ``aaaaaaaa_s001_t000.edf``."""
    return Path(path).stem.partition("_")[0]


def validate_patient_disjointness(
    train: Sequence[PathLike], dev: Sequence[PathLike], eval: Sequence[PathLike] | None = None
) -> None:
    """Refuse splits that have patients in common.

    Raises
    ------
    PatientLeakageError
        ``PATIENT LEAKAGE DETECTED! N patients in both train and dev: …``
    """
    splits = {"train": train, "dev": dev, "eval": eval or ()}
    patients = {name: {extract_patient_id(path) for path in files} for name, files in splits.items()}
    for first, second in (("train", "dev"), ("train", "eval"), ("dev", "eval")):
        both = sorted(patients[first] & patients[second])
        if both:
            more = ", …" if len(both) > _SHOWN else ""
            raise PatientLeakageError(
                f"PATIENT LEAKAGE DETECTED! {len(both)} patients in both {first} and {second}: "
                f"{', '.join(both[:_SHOWN])}{more}"
            )


def load_tusz_for_training(
    data_root: PathLike, use_eval: bool = False, verbose: bool = True, *, allow_missing_labels: bool = False
) -> dict[str, Files]:
    """The recordings of the official splits, which lie in the folders ``train``, ``dev`` and ``eval``.

    Parameters
    ----------
    data_root : path
        The folder of these, or one that has them in ``edf``.
    use_eval : bool
        The evaluation's as well.
    verbose : bool
        Say how many there are.
    allow_missing_labels : bool
        Do not ask that each has its annotation file.

    Returns
    -------
    dict
        ``{"train": (edf files, csv files), "dev": …}``, each sorted.

    Raises
    ------
    ReadError
        A folder is missing, or has no recordings.
    MissingAnnotationError
    PatientLeakageError
    """
    root = Path(data_root)
    if not (root / "train").is_dir() and (root / "edf" / "train").is_dir():
        root = root / "edf"
    found: dict[str, Files] = {}
    for name in OFFICIAL[: 3 if use_eval else 2]:
        edfs = edf_files_below(root / name) if (root / name).is_dir() else []
        if not edfs:
            raise ReadError(f"no recordings in {root / name}: the official splits are the folders {OFFICIAL}")
        labels = [label_path(path) for path in edfs]
        absent = [path for path in labels if not path.exists()]
        if absent and not allow_missing_labels:
            raise MissingAnnotationError(
                f"{len(absent)} of {len(labels)} annotation files are missing, as {absent[0]}"
            )
        found[name] = edfs, labels
    validate_patient_disjointness(found["train"][0], found["dev"][0], found.get("eval", ([], []))[0])
    if verbose:
        say("[SPLIT STATS] OFFICIAL TUSZ SPLITS:")
        for name, (edfs, _) in found.items():
            patients = len({extract_patient_id(path) for path in edfs})
            say(f"  {name}: {len(edfs)} files, {patients} patients")
        say("  ✅ PATIENT DISJOINTNESS VERIFIED - No leakage!")
    return found


def split_folder(data_dir: Path, split: str) -> Path:
    """Where a split's recordings are: its own folder if there are several splits', else all of it."""
    official = "dev" if split == "val" else split
    beside = [name for name in OFFICIAL if (data_dir / name).is_dir()]
    return data_dir / official if official in beside and len(beside) > 1 else data_dir


def set_aside(edf_files: Sequence[Path], share: float) -> tuple[list[Path], list[Path]]:
    """The files for training, and about so large a share of them, from the front, for validation.

    Patients stay together: those of the last file that is set aside are all set aside.
    """
    if not 0 <= share < 1:
        raise OptionError(f"a share is a number from 0 to 1, not {share!r}")
    patients = {extract_patient_id(path) for path in edf_files[: int(share * len(edf_files))]}
    validation = [path for path in edf_files if extract_patient_id(path) in patients]
    return [path for path in edf_files if extract_patient_id(path) not in patients], validation
