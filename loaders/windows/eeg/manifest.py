"""``manifest.json``: which windows of a cache have seizures in part, all through, or not at all."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loaders.windows.eeg import flags
from loaders.windows.eeg.flags import say
from loaders.windows.eeg.folder import Cached, WindowFolder
from loaders.windows.eeg.paths import MANIFEST, PathLike, write_text
from loaders.windows.eeg.settings import FULL_FROM, SETTINGS, differences
from recorder.errors import ReadError

PARTIAL, FULL, NONE = "partial_seizure", "full_seizure", "no_seizure"
CATEGORIES = (PARTIAL, FULL, NONE)
RECORD = "flightrec"
"""The key of what the lists were made from. Manifests of the older program have none."""
_VERSION = 1
_MOST_MISSING = 0.05
_THREADS = 8


class Manifest(dict[str, Any]):
    """The three lists, as a plain dictionary.

    Attributes
    ----------
    record : dict or None
        What they were made from.
    tables : dict of str to (list of str, list of int)
        File names and windows of each list as they were when it was read.
    names : list of str
        The files.
    numbers : dict of str to list of int
        Their numbers, for each entry of a list.
    """

    record: dict[str, Any] | None = None
    tables: dict[str, tuple[list[str], list[int]]]
    names: list[str]
    numbers: dict[str, list[int]]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """A manifest that is there.

        Raises
        ------
        FileNotFoundError
        ReadError
            It is not a manifest.
        """
        try:
            found = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise ReadError(f"{path} cannot be read: {error}") from error
        return cls.of(found, str(path))

    @classmethod
    def of(cls, found: Any, where: str = "the manifest") -> Manifest:
        """A dictionary as a manifest, its entries looked at.

        Raises
        ------
        ReadError
        """
        if not isinstance(found, dict):
            raise ReadError(f"{where} is a {type(found).__name__} and no dictionary of lists")
        if not any(name in found for name in CATEGORIES):
            raise ReadError(f"{where} has none of {CATEGORIES}")
        manifest = cls({name: found.get(name, []) for name in CATEGORIES})
        record = found.record if isinstance(found, cls) else found.get(RECORD)
        manifest.record = record if isinstance(record, dict) else None
        manifest.tables = {name: _table(manifest[name], f"{where}: {name}") for name in CATEGORIES}
        every = itertools.chain.from_iterable(names for names, _ in manifest.tables.values())
        manifest.names = list(dict.fromkeys(every))
        place = {name: number for number, name in enumerate(manifest.names)}
        manifest.numbers = {name: [place[file] for file in t[0]] for name, t in manifest.tables.items()}
        return manifest

    def write(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises
        ------
        OSError
        """
        write_text(path, json.dumps({**self, RECORD: self.record}, indent=2))

    def counts(self) -> str:
        """How many windows of each kind, as the command line says it."""
        return f"partial={len(self[PARTIAL])}, full={len(self[FULL])}, none={len(self[NONE])}"


def _table(entries: Any, where: str) -> tuple[list[str], list[int]]:
    # Nothing but comprehensions: there are hundreds of thousands of entries, and all starts wait for them.
    try:
        names = [entry["cache_file"] for entry in entries]
        windows = [entry["window_idx"] for entry in entries]
    except (TypeError, KeyError):
        names, windows = [None], []
    sound = set(map(type, names)) <= {str} and set(map(type, windows)) <= {int}
    if not sound or min(windows, default=0) < 0:
        raise ReadError(f"{where} has an entry that is no cache_file and window_idx")
    return names, windows


@dataclass(frozen=True)
class _Found:
    """What was found in a file: the windows' categories, or why it is left out."""

    known: Cached | None
    kinds: list[str]
    left_out: str = ""


def scan_existing_cache(cache_dir: PathLike) -> dict[str, Any]:
    """Look at the labels of all windows of a folder, and write its manifest.

    Parameters
    ----------
    cache_dir : path
        NPZ files, an HDF5 file of windows, or both; or nothing.

    Returns
    -------
    dict
        ``partial_seizure``, ``full_seizure`` and ``no_seizure``: lists of ``{"cache_file": name,
        "window_idx": int}``, files by name and windows in order. Damaged files and those without labels are
        said and left out.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    OSError
        The manifest cannot be written.
    """
    place = Path(cache_dir)
    folder = WindowFolder(place)
    stamps = folder.stamps()
    disabled = flags.is_on(flags.DISABLE_TQDM)
    say(f"[CACHE] tqdm disabled={disabled} | files={len(stamps)}")
    manifest = Manifest({name: [] for name in CATEGORIES})
    files: dict[str, Any] = {}
    settings: list[Any] = []
    for name, found in flags.progress(_scan(folder, list(stamps)), len(stamps), "scan"):
        # What is changed while it is looked at does not have this stamp any more.
        files[name] = {"stamp": stamps[name], "windows": len(found.kinds)}
        if found.known is not None:
            files[name]["fingerprint"] = found.known.fingerprint
            made = None if found.known.record is None else found.known.record.get("settings")
            if made not in settings:
                settings.append(made)
        if found.left_out:
            files[name]["left_out"] = found.left_out
            say(found.left_out)
        for number, kind in enumerate(found.kinds):
            manifest[kind].append({"cache_file": name, "window_idx": number})
    folder.close()
    manifest.record = {
        "version": _VERSION,
        "full_from": FULL_FROM,
        "settings": settings[0] if len(settings) == 1 else settings or SETTINGS,
        "files": files,
    }
    for made in settings:
        if made is not None and differences(made):
            say(
                f"[WARNING] stale: some of these windows were made with {differences(made)}; "
                "build-cache makes them anew"
            )
    manifest.write(place / MANIFEST)
    _say_counts(manifest, len(stamps))
    return manifest


def _scan(folder: WindowFolder, names: list[str]) -> Iterator[tuple[str, _Found]]:
    with ThreadPoolExecutor(_THREADS) as threads:
        # Looked at by threads, a few ahead: what they find is small, and inflating takes no lock.
        for some in itertools.batched(names, 64) if hasattr(itertools, "batched") else _batches(names, 64):
            yield from zip(some, threads.map(lambda name: _look(folder, name), some), strict=True)


def _batches(names: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _look(folder: WindowFolder, name: str) -> _Found:
    try:
        known = folder.look(name)
        if not known.labelled:
            return _Found(known, [], f"⚠️  NPZ file {name} has NO LABELS! It is left out of the manifest.")
        return _Found(known, [_category(labels) for labels in folder.labels(name)])
    except (OSError, ValueError) as error:
        return _Found(None, [], f"Warning: Skipping {name}: {' '.join(str(error).split())}")


def _category(labels: Any) -> str:
    share = np.count_nonzero(labels > 0) / len(labels)
    return NONE if share == 0 else FULL if share >= FULL_FROM else PARTIAL


def _say_counts(manifest: Manifest, files: int) -> None:
    partial, full, none = (len(manifest[name]) for name in CATEGORIES)
    say(f"Manifest created: {partial} partial, {full} full, {none} no-seizure")
    if partial + full + none:
        say(f"  Seizure ratio: {100 * (partial + full) / (partial + full + none):.1f}%")
    if not partial:
        say(f"WARNING: No partial seizure windows found in {files} files!")


def validate_manifest(cache_dir: PathLike, manifest: dict[str, Any]) -> bool:
    """Whether a manifest can be used for the windows of a folder; why not is said.

    False where it has no windows, where more than 5 % of its entries name missing files, or where what it
    records does not fit: settings, or files that have come, or have other contents. Manifests without a
    record are judged by the first two.
    """
    try:
        found = Manifest.of(manifest)
    except ReadError as error:
        return _no(str(error))
    folder = WindowFolder(cache_dir)
    try:
        return fits(found, folder)
    except (OSError, ReadError) as error:
        return _no(str(error))
    finally:
        folder.close()


def fits(manifest: Manifest, folder: WindowFolder) -> bool:
    """As :func:`validate_manifest`, of a folder that is open.

    Raises
    ------
    OSError, ReadError
        The folder cannot be read.
    """
    stamps = folder.stamps()
    total = sum(len(manifest[name]) for name in CATEGORIES)
    if not total:
        return _no("it has no windows")
    named = Counter(itertools.chain.from_iterable(names for names, _ in manifest.tables.values()))
    gone = sum(count for name, count in named.items() if name not in stamps)
    if gone > _MOST_MISSING * total:
        return _no(f"the files of {gone} of its {total} windows are missing")
    record = manifest.record
    if record is None:
        return True
    files = record.get("files")
    if not isinstance(files, dict) or record.get("full_from") != FULL_FROM:
        return _no("it was made by another rule")
    settings = record.get("settings")
    for made in settings if isinstance(settings, list) else [settings]:
        # None: windows of the older program, which says nothing of them.
        if made is not None and differences(made):
            return _no(f"its windows were made with {differences(made)}")
    for name in files:
        if name not in stamps:
            say(f"[WARNING] the manifest names {name}, which is missing")
    for name, stamp in stamps.items():
        said = files.get(name)
        if not isinstance(said, dict):
            return _no(f"{name} has come since it was made")
        if said.get("stamp") != stamp and _fingerprint(folder, name) != said.get("fingerprint"):
            return _no(f"{name} has changed since it was made")
    return True


def _fingerprint(folder: WindowFolder, name: str) -> str | None:
    try:
        return folder.look(name).fingerprint
    except ReadError:
        return None


def _no(why: str) -> bool:
    say(f"[WARNING] the manifest is not valid: {why}")
    return False
