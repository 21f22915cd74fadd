"""Windows with seizures and a fitting number without, chosen from the manifest: nothing is read to choose."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from loaders.windows.eeg.dataset import Item, as_item
from loaders.windows.eeg.flags import say
from loaders.windows.eeg.folder import DECODED_BYTES, WindowFolder
from loaders.windows.eeg.manifest import (
    FULL,
    NONE,
    PARTIAL,
    Manifest,
    names_of,
    scan_existing_cache,
    validate_manifest,
)
from loaders.windows.eeg.paths import MANIFEST, PathLike
from recorder.errors import DamagedError, NoSeizuresError, OptionError, ReadError


class BalancedSeizureDataset(Dataset[Item]):
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
        for name, ratio in (("full_ratio", full_ratio), ("background_ratio", background_ratio)):
            if not 0 <= ratio < float("inf"):
                raise OptionError(f"{name} is a number from 0 on, not {ratio!r}")
        self.cache_dir = Path(cache_dir)
        manifest = _manifest(self.cache_dir, ensure=ensure_manifest)
        partial, full, none = (
            [e for e in names_of(manifest, name) if files is None or e[0] in files]
            for name in (PARTIAL, FULL, NONE)
        )
        if not partial:
            raise NoSeizuresError(
                f"No partial seizure windows found in manifest! Full: {len(full)}, No-seizure: {len(none)}"
            )
        rng = np.random.default_rng(seed)
        some_full = _draw(rng, full, int(full_ratio * len(partial)))
        some_none = _draw(rng, none, int(background_ratio * len(partial)))
        joined = partial + some_full + some_none
        seizures = len(partial) + len(some_full)
        order = np.arange(len(joined))
        # As it would shuffle the list itself, and faster.
        rng.shuffle(order)
        self._folder = WindowFolder(self.cache_dir, decoded_bytes=decoded_bytes)
        there = set(self._folder.stamps())
        kept = [k for k in order.tolist() if joined[k][0] in there]
        if len(kept) < len(joined):
            say(f"[WARNING] Skipped {len(joined) - len(kept)} manifest entries whose files are missing")
        self._names = sorted({joined[k][0] for k in kept})
        numbers = {name: number for number, name in enumerate(self._names)}
        # Arrays: forked workers would copy a list, page by page, by counting references to its entries.
        self._files = np.array([numbers[joined[k][0]] for k in kept], np.int32)
        self._windows = np.array([joined[k][1] for k in kept], np.int64)
        with_seizures = sum(k < seizures for k in kept)
        self._ratio = with_seizures / len(kept) if kept else 0.0
        self._say(sum(k < len(partial) for k in kept), with_seizures)

    def _say(self, partial: int, with_seizures: int) -> None:
        say(f"[BalancedSeizureDataset] Created with {len(self)} windows:")
        say(f"  Partial seizure: {partial}")
        say(f"  Full seizure: {with_seizures - partial}")
        say(f"  No seizure: {len(self) - with_seizures}")

    @property
    def seizure_ratio(self) -> float:
        """Share of the windows that have a seizure, in part or all through."""
        return self._ratio

    @property
    def entries(self) -> list[tuple[str, int]]:
        """NPZ name and window of each item."""
        names = [self._names[number] for number in self._files.tolist()]
        return list(zip(names, self._windows.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self._files)

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
        name, window = self._names[self._files[number]], int(self._windows[number])
        try:
            return as_item(*self._folder.window(name, window))
        except IndexError as error:
            raise DamagedError(f"{self.cache_dir / MANIFEST} does not fit {name}: {error}") from error


def _manifest(cache_dir: Path, *, ensure: bool) -> Manifest:
    path = cache_dir / MANIFEST
    try:
        found = Manifest.read(path)
    except (FileNotFoundError, ReadError) as error:
        if not ensure:
            raise
        if isinstance(error, ReadError):
            say(f"[WARNING] {error}: it is made anew")
        return Manifest.of(scan_existing_cache(cache_dir))
    if not validate_manifest(cache_dir, found) and ensure:
        return Manifest.of(scan_existing_cache(cache_dir))
    return found


def _draw(rng: np.random.Generator, entries: list[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    count = min(count, len(entries))
    return [entries[k] for k in rng.choice(len(entries), count, replace=False).tolist()] if count else []
