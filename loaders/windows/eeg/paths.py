"""Names of files: recordings, their annotations, and the caches of both."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from recorder.errors import OptionError

SUFFIX = "_windows.npz"
INDEX, MANIFEST = "_dataset_index.json", "manifest.json"

PathLike = str | os.PathLike[str]


def cache_file_path(cache_dir: PathLike, edf_path: PathLike) -> Path:
    """The NPZ of a recording: ``<cache_dir>/<stem of the EDF>_windows.npz``."""
    return Path(cache_dir) / f"{Path(edf_path).stem}{SUFFIX}"


def label_path(edf_path: PathLike) -> Path:
    """The annotation file of a recording: the same name with ``.csv``."""
    return Path(edf_path).with_suffix(".csv")


def edf_files_below(folder: PathLike) -> list[Path]:
    """All EDF files of a folder and the folders in it, by name; the case of ``.edf`` does not matter."""
    return sorted(
        path for path in Path(folder).rglob("*") if path.suffix.lower() == ".edf" and path.is_file()
    )


def check_names(edf_files: Sequence[Path]) -> None:
    """Refuse recordings that would share a file of the cache.

    Raises
    ------
    OptionError
        Two have one name.
    """
    seen: dict[str, Path] = {}
    for path in edf_files:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise OptionError(f"two recordings would be cached as {path.stem}{SUFFIX}: {other} and {path}")


def aside(path: Path) -> Path:
    """Where a file is written before it takes its name; unseen by ``*.npz``."""
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.part")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises
    ------
    OSError
    """
    draft = aside(path)
    try:
        draft.write_text(text, "utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def clear_aside(folder: Path) -> None:
    """Remove what killed programs of this machine left half written."""
    for path in folder.glob(".*.part"):
        owner = path.name.split(".")[-2].partition("-")[0]
        if owner.isdecimal() and not _lives(int(owner)):
            path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
