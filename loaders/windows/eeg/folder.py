"""A folder of cached windows: NPZ files, the one HDF5 file, or both; read at random, in any process."""

from __future__ import annotations

import functools
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loaders.windows.eeg import fingerprint
from loaders.windows.eeg.npzread import Member, NpzFile, Window, parse_record
from recorder.errors import ReadError
from recorder.h5 import eegwindows
from recorder.h5.reading.perprocess import PerProcess

DECODED_BYTES = 1 << 30
"""Decoded windows of older files that a process keeps, in bytes."""
_OPEN_FILES = 128


@dataclass(frozen=True)
class Cached:
    """What is known of the windows of a recording without reading them.

    Attributes
    ----------
    count : int
    labelled : bool
    fingerprint : str
        Of the contents.
    record : dict or None
        What they were made from.
    """

    count: int
    labelled: bool
    fingerprint: str
    record: dict[str, Any] | None


class WindowFolder:
    """Windows by the name of their NPZ. Instances go through forks and pickles; threads may share one.

    Parameters
    ----------
    cache_dir : path
        The folder, which exists.
    decoded_bytes : int
        How much a process keeps of files that can only be inflated as a whole, as those of the older program.

    Raises
    ------
    DamagedError
        The folder's HDF5 file cannot be read.
    """

    def __init__(self, cache_dir: str | os.PathLike[str], *, decoded_bytes: int = DECODED_BYTES) -> None:
        self.path = Path(cache_dir).absolute()
        self._decoded_bytes = decoded_bytes
        self._open: PerProcess[_Open] = PerProcess(functools.partial(_Open, self.path, decoded_bytes))

    def stamps(self) -> dict[str, fingerprint.Stamp]:
        """The names there are, sorted, and the stamps of their files. NPZs come before the HDF5 file."""
        found: dict[str, fingerprint.Stamp] = {}
        hdf5 = self._open.get().hdf5
        if hdf5 is not None:
            whole = fingerprint.stamp(hdf5.path.stat())
            found |= dict.fromkeys(hdf5.entries, whole)
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.endswith(".npz") and not entry.name.startswith("."):
                    found[entry.name] = fingerprint.stamp(entry.stat())
        return dict(sorted(found.items()))

    def names(self) -> list[str]:
        """The names there are, sorted."""
        return list(self.stamps())

    def look(self, name: str) -> Cached:
        """What is known of a file.

        Raises
        ------
        FileNotFoundError
            It is not there.
        DamagedError
            It cannot be read.
        """
        opened = self._open.get()
        if opened.in_hdf5(name):
            assert opened.hdf5 is not None
            entry = opened.hdf5.entries[name]
            return Cached(entry.count, entry.labelled, entry.fingerprint, parse_record(entry.record.encode()))
        npz = NpzFile(self.path / name)
        return Cached(npz.count, npz.labels is not None, npz.fingerprint, npz.record)

    def count(self, name: str) -> int:
        """Windows of a file; errors as :meth:`look`'s."""
        return self.look(name).count

    def window(self, name: str, number: int) -> tuple[Window, Window | None]:
        """A window, ``(19, 15360)`` float32, and its labels, ``(15360,)`` float32; arrays of their own.

        Raises
        ------
        FileNotFoundError, DamagedError
        IndexError
            There is no such window.
        """
        opened = self._open.get()
        if opened.in_hdf5(name):
            assert opened.hdf5 is not None
            return opened.hdf5.window(name, number)
        npz = opened.npz(name)
        window = opened.row(name, npz.windows, number)
        return window, None if npz.labels is None else opened.row(name, npz.labels, number)

    def labels(self, name: str) -> Iterator[Window]:
        """The labels of a file's windows in order, never more than one in memory.

        Raises
        ------
        FileNotFoundError, DamagedError
        ReadError
            It has none.
        """
        opened = self._open.get()
        if opened.in_hdf5(name):
            assert opened.hdf5 is not None
            yield from opened.hdf5.labels(name)
            return
        npz = NpzFile(self.path / name)
        if npz.labels is None:
            raise ReadError(f"{npz.path} has no labels")
        yield from npz.labels.rows()

    def reopen(self) -> None:
        """Forget what is open: files have been made, or made anew."""
        self._open.close()
        self._open = PerProcess(functools.partial(_Open, self.path, self._decoded_bytes))

    def close(self) -> None:
        """Close this process's files; a later call raises ClosedError. Idempotent."""
        self._open.close()


class _Open:
    """What a process has open: a bounded number of files, and a bounded number of decoded bytes."""

    def __init__(self, path: Path, decoded_bytes: int) -> None:
        self._path, self._limit = path, decoded_bytes
        self._lock = threading.Lock()
        self._files: OrderedDict[str, NpzFile] = OrderedDict()
        self._decoded: OrderedDict[tuple[str, str], Window] = OrderedDict()
        self._held = 0
        place = path / eegwindows.FILE
        self.hdf5 = eegwindows.EegWindowFile(place) if place.exists() else None

    def in_hdf5(self, name: str) -> bool:
        """Whether the windows of that name are the HDF5 file's."""
        return self.hdf5 is not None and name in self.hdf5.entries and not (self._path / name).exists()

    def npz(self, name: str) -> NpzFile:
        """An open file, the one that has the name now; the one that was used longest ago is let go of."""
        state = fingerprint.stamp((self._path / name).stat())
        with self._lock:
            found = self._files.pop(name, None)
            if found is not None and found.stamp == state:
                self._files[name] = found
                return found
            self._forget(name)
        # Two threads may open it: one of the two is used no further.
        found = NpzFile(self._path / name)
        with self._lock:
            self._files[name] = found
            while len(self._files) > _OPEN_FILES:
                gone, _ = self._files.popitem(last=False)
                self._forget(gone)
        return found

    def _forget(self, name: str) -> None:
        for key in [key for key in self._decoded if key[0] == name]:
            self._held -= self._decoded.pop(key).nbytes

    def row(self, name: str, member: Member, number: int) -> Window:
        """A row of an array, read singly where that can be done."""
        if member.direct or member.nbytes > self._limit:
            return member.read(number)
        key = (name, member.name)
        with self._lock:
            whole = self._decoded.pop(key, None)
            if whole is not None:
                self._decoded[key] = whole
        if whole is None:
            whole = self._decode(key, member)
        if not 0 <= number < len(whole):
            raise IndexError(f"{self._path / name} has windows 0 to {len(whole) - 1}, not {number}")
        found: Window = whole[number].copy()
        return found

    def _decode(self, key: tuple[str, str], member: Member) -> Window:
        whole = member.read_all()
        with self._lock:
            if key not in self._decoded and key[0] in self._files:
                self._decoded[key] = whole
                self._held += whole.nbytes
            while self._held > self._limit:
                _, gone = self._decoded.popitem(last=False)
                self._held -= gone.nbytes
        return whole

    def close(self) -> None:
        """Let go of all of it."""
        with self._lock:
            self._files.clear()
            self._decoded.clear()
            self._held = 0
        if self.hdf5 is not None:
            self.hdf5.close()
