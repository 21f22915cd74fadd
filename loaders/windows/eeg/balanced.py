"""Windows with seizures and a fitting number without, chosen from the manifest: nothing is read to choose."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.windows.eeg.flags import say
from loaders.windows.eeg.folder import DECODED_BYTES, WindowFolder
from loaders.windows.eeg.item import Item, ItemDataset, as_item, need_torch
from loaders.windows.eeg.manifest import (
    FULL,
    NONE,
    PARTIAL,
    Manifest,
    fits,
    scan_existing_cache,
)
from loaders.windows.eeg.paths import MANIFEST, PathLike
from recorder.errors import DamagedError, NoSeizuresError, OptionError, ReadError

_ENTRY = np.dtype([("file", np.int64), ("window", np.int64)])


class BalancedSeizureDataset(ItemDataset):
    """All windows with a part of a seizure, and for each of them so many all seizure and without.

    The choice depends on the manifest and the seed alone. Instances go to the workers of a DataLoader by fork
    or pickle; every process opens files for itself.

    Parameters
    ----------
    cache_dir : path
        Folder of the windows.
    full_ratio, background_ratio : float
        Windows that are all seizure, and windows without, for each one with a part of one; no more than
        there are.
    seed : int
        Of the draw.
    ensure_manifest : bool
        Make the manifest where it is missing or does not fit the windows; else a missing one raises, and
        a stale one is said and used.
    files : collection of str, optional
        Only windows of these NPZ names.
    decoded_bytes : int
        As :class:`EEGWindowDataset`'s.

    Attributes
    ----------
    entries : list of (str, int)
        NPZ name and window of each item.
    seizure_ratio : float
    cached : frozenset of str
        Names of the files there were.

    Raises
    ------
    NoSeizuresError
        No window has a part of a seizure.
    FileNotFoundError
        There is no manifest, and none is to be made.
    ReadError
        The manifest is damaged, and none is to be made.
    """

    def __init__(
        self,
        cache_dir: PathLike,
        *,
        full_ratio: float = 0.3,
        background_ratio: float = 2.5,
        seed: int = 42,
        ensure_manifest: bool = True,
        files: Collection[str] | None = None,
        decoded_bytes: int = DECODED_BYTES,
    ) -> None:
        need_torch()
        for name, ratio in (("full_ratio", full_ratio), ("background_ratio", background_ratio)):
            if not 0 <= ratio < float("inf"):
                raise OptionError(f"{name} is a number from 0 on, not {ratio!r}")
        self.cache_dir = Path(cache_dir)
        self._folder = WindowFolder(self.cache_dir, decoded_bytes=decoded_bytes)
        manifest = _manifest(self._folder, ensure=ensure_manifest)
        partial, full, none = (_chosen(manifest, name, files) for name in (PARTIAL, FULL, NONE))
        if not len(partial):
            raise NoSeizuresError(
                f"No partial seizure windows found in manifest! Full: {len(full)}, No-seizure: {len(none)}"
            )
        rng = np.random.default_rng(seed)
        drawn = [
            partial,
            full[_draw(rng, len(full), int(full_ratio * len(partial)))],
            none[_draw(rng, len(none), int(background_ratio * len(partial)))],
        ]
        kinds = np.repeat(np.arange(3), [len(some) for some in drawn])
        order = np.arange(len(kinds))
        # As it would shuffle the list of entries, and faster.
        rng.shuffle(order)
        joined, kinds = np.concatenate(drawn)[order], kinds[order]
        self.cached = there = frozenset(self._folder.stamps())
        kept = np.array([name in there for name in manifest.names], bool)[joined["file"]]
        if not kept.all():
            say(f"[WARNING] Skipped {np.count_nonzero(~kept)} manifest entries whose files are missing")
        # Arrays: forked workers would copy a list, page by page, by counting references to its entries.
        self._entries, self._names = joined[kept], np.array(manifest.names)
        self._ratio = float(np.mean(kinds[kept] < 2)) if kept.any() else 0.0
        self._say(*np.bincount(kinds[kept], minlength=3).tolist())

    def _say(self, partial: int, full: int, none: int) -> None:
        say(f"[BalancedSeizureDataset] Created with {len(self)} windows:")
        say(f"  Partial seizure: {partial}")
        say(f"  Full seizure: {full}")
        say(f"  No seizure: {none}")

    @property
    def seizure_ratio(self) -> float:
        """Share of the windows that have a seizure, in part or all through."""
        return self._ratio

    @property
    def entries(self) -> list[tuple[str, int]]:
        """NPZ name and window of each item."""
        names = self._names[self._entries["file"]].tolist()
        return list(zip(names, self._entries["window"].tolist(), strict=True))

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Item:
        """A window and its labels.

        Raises
        ------
        IndexError
        FileNotFoundError
            Its file has gone.
        DamagedError
            Its file is damaged, or another one than the manifest was made from.
        """
        number = int(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are windows 0 to {len(self) - 1}, not {index}")
        entry = self._entries[number]
        name, window = str(self._names[entry["file"]]), int(entry["window"])
        try:
            return as_item(*self._folder.window(name, window))
        except IndexError as error:
            raise DamagedError(f"{self.cache_dir / MANIFEST} does not fit {name}: {error}") from error


def _manifest(folder: WindowFolder, *, ensure: bool) -> Manifest:
    path = folder.path / MANIFEST
    try:
        found = Manifest.read(path)
    except (FileNotFoundError, ReadError) as error:
        if not ensure:
            raise
        if isinstance(error, ReadError):
            say(f"[WARNING] {error}: it is made anew")
        return Manifest.of(scan_existing_cache(folder.path))
    if not fits(found, folder) and ensure:
        return Manifest.of(scan_existing_cache(folder.path))
    return found


def _chosen(manifest: Manifest, category: str, files: Collection[str] | None) -> NDArray[Any]:
    """The entries of a category: number of the file in ``manifest.names``, and window."""
    files_of, windows = manifest.numbers[category], manifest.tables[category][1]
    table = np.empty(len(windows), _ENTRY)
    table["file"], table["window"] = files_of, windows
    if files is None:
        return table
    wanted = np.array([name in files for name in manifest.names], bool)
    some: NDArray[Any] = table[wanted[table["file"]]]
    return some


def _draw(rng: np.random.Generator, there: int, count: int) -> NDArray[np.int64]:
    count = min(count, there)
    return np.asarray(rng.choice(there, count, replace=False) if count else (), np.int64)
