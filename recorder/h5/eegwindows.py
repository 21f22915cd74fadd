"""A cache of EEG windows in one HDF5 file: ``windows``, ``labels``, and whose they are in ``files``.

::

    /windows            (N, 19, 15360) float32, a window a chunk
    /labels             (N, 15360) float32
    /files/name         (M,) text     a recording's NPZ name
    /files/start, count (M,) int64    its rows
    /files/labelled     (M,) uint8    whether its labels say anything
    /files/fingerprint  (M,) text     of its contents
    /files/record       (M,) text     JSON: what it was made from, or ""

A recording is added by one transaction: a killed program leaves all of it or nothing. One that comes again
gets rows at the end; those that it had stay behind unused.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from recorder.errors import DamagedError
from recorder.format.deflate import begin_chunk, start
from recorder.h5 import journal, superblock
from recorder.h5.reading.guard import damage
from recorder.h5.reading.perprocess import PerProcess
from recorder.h5.reading.scattered import RowFile
from recorder.h5.store.recover import journal_of
from recorder.h5.store.session import Session, make_whole
from recorder.h5.transaction import LIBVER
from recorder.h5.untrusted import open_untrusted
from recorder.h5.windows.steady import PATIENCE, open_steadily

FILE, LOCK = "windows.h5", ".build.lock"
"""Names of the file and of its lock in the folder of a cache."""
LAYOUT = "flightrec-eeg-windows-1"
_LEVEL = 4
_AHEAD = 8
"""Windows that are encoded at a time."""
_TEXTS, _NUMBERS = ("name", "fingerprint", "record"), {"start": "<i8", "count": "<i8", "labelled": "u1"}

Rows = Iterable[NDArray[np.float32]]


@dataclass(frozen=True)
class Entry:
    """A recording in the file: its first row, its number of rows, and what is known of it."""

    start: int
    count: int
    labelled: bool
    fingerprint: str
    record: str


def append(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    windows: Rows,
    labels: Rows | None,
    *,
    fingerprint: str,
    record: str,
) -> None:
    """Add a recording, or put one in the place of that of its name. Within :func:`alone`.

    Parameters
    ----------
    path : Path
        The file; made where there is none.
    shape : tuple of int
        Of all its windows, ``(n, channels, samples)``.
    windows, labels : iterable of float32 arrays
        Rows of ``shape[1:]`` and ``shape[2:]``.

    Raises
    ------
    OSError
        It could not be stored; the file is as it was.
    DamagedError
        The file is of another layout or shape.
    """
    _prepare(path, shape[1:])
    with _changed(path) as file:
        if file.attrs.get("layout") != LAYOUT or file["windows"].shape[1:] != shape[1:]:
            raise DamagedError(f"{path} is no file of such windows")
        begin, count = len(file["windows"]), shape[0]
        _extend(file["windows"], count, windows)
        if labels is None:
            labels = (np.zeros(shape[2:], np.float32) for _ in range(count))
            _extend(file["labels"], count, labels)
            labelled = False
        else:
            _extend(file["labels"], count, labels)
            labelled = True
        files = file["files"]
        names = files["name"].asstr()[:].tolist()
        row = names.index(name) if name in names else len(names)
        values: dict[str, Any] = {
            "name": name,
            "fingerprint": fingerprint,
            "record": record,
            "start": begin,
            "count": count,
            "labelled": labelled,
        }
        for column, value in values.items():
            if row == len(names):
                files[column].resize(row + 1, axis=0)
            files[column][row] = value


@contextlib.contextmanager
def _changed(path: Path) -> Iterator[h5py.File]:
    # By turns, whose count tells readers that a change came while they opened the file.
    session = Session(path, patience=PATIENCE, reaching=True, sync=False)
    try:
        with session.change() as handle:
            yield handle.file
    finally:
        session.close()


@contextlib.contextmanager
def alone(path: Path, timeout: float = -1) -> Iterator[None]:
    """Be the only one to change the file at ``path``, and its folder, while the block lasts.

    What a killed program left of a change is completed first, or forgotten where its file has been deleted.

    Raises
    ------
    filelock.Timeout
        After so many seconds; below 0 there is no end to waiting.
    """
    with FileLock(path.with_name(LOCK), timeout=timeout):
        if not path.exists():
            journal.discard(journal_of(path))
        elif journal_of(path).exists():
            make_whole(path)
        yield


def _prepare(path: Path, shape: tuple[int, ...]) -> None:
    if path.exists():
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(draft, "w", libver=LIBVER) as file:
            file.attrs["layout"] = LAYOUT
            for name, row in (("windows", shape), ("labels", shape[1:])):
                file.create_dataset(
                    name,
                    (0, *row),
                    "<f4",
                    maxshape=(None, *row),
                    chunks=(1, *row),
                    shuffle=True,
                    compression="gzip",
                    compression_opts=_LEVEL,
                )
            files = file.create_group("files")
            for column in _TEXTS:
                files.create_dataset(column, (0,), h5py.string_dtype(), maxshape=(None,), chunks=(256,))
            for column, dtype in _NUMBERS.items():
                files.create_dataset(column, (0,), dtype, maxshape=(None,), chunks=(256,))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _extend(dataset: h5py.Dataset, count: int, rows: Rows) -> None:
    begin, given = len(dataset), iter(rows)
    dataset.resize(begin + count, axis=0)
    done, rest = 0, (0,) * (dataset.ndim - 1)
    while some := list(itertools.islice(given, _AHEAD)):
        jobs = [begin_chunk([row[None]], 1, "gzip", _LEVEL) for row in some]
        start()
        for job in jobs:
            data, mask = job()
            dataset.id.write_direct_chunk((begin + done, *rest), data, mask)
            done += 1
    if done != count:
        raise ValueError(f"{dataset.name}: {done} rows instead of {count}")


def finish(path: Path) -> None:
    """Give back the room that the file reaches beyond its end while it is written."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as raw:
        os.ftruncate(raw.fileno(), superblock.end_of(raw.fileno()))


def entries(path: Path) -> dict[str, Entry]:
    """What the file holds, by name; also while another process adds to it.

    Raises
    ------
    FileNotFoundError
    DamagedError
        It is no such file.
    ReadError
        A killed program left a change to be completed, and the folder cannot be written.
    """
    with contextlib.closing(_opened(path)) as opened:
        return opened.entries


def _entries(path: Path) -> dict[str, Entry]:
    try:
        file = open_untrusted(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{path} is no HDF5 file, or is damaged: {error}") from error
    with file, damage(path):
        if file.attrs.get("layout") != LAYOUT:
            raise DamagedError(f"it is no file of EEG windows of layout {LAYOUT}")
        files, total = file["files"], len(file["windows"])
        columns: list[Any] = [files[name].asstr()[:].tolist() for name in _TEXTS]
        columns += [files[name][:].tolist() for name in _NUMBERS]
        found = {}
        for name, fingerprint, record, begin, count, labelled in zip(*columns, strict=True):
            if begin < 0 or count < 0 or begin + count > total:
                raise DamagedError(f"{name} has rows {begin} to {begin + count} of {total}")
            found[name] = Entry(begin, count, bool(labelled), fingerprint, record)
        return found


class EegWindowFile:
    """Random rows of such a file, in any process; see :class:`RowFile`.

    Raises
    ------
    FileNotFoundError
    DamagedError
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: PerProcess[_Opened] = PerProcess(functools.partial(_opened, path))
        self.entries = self._opened.get().entries

    def window(self, name: str, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """A window of a recording and, where it has any, its labels; arrays of their own.

        Raises
        ------
        KeyError, IndexError
        DamagedError
        """
        entry = self.entries[name]
        if not 0 <= row < entry.count:
            raise IndexError(f"{self.path}: {name} has windows 0 to {entry.count - 1}, not {row}")
        opened = self._opened.get()
        window = opened.windows.read([entry.start + row])[0]
        return window, opened.labels.read([entry.start + row])[0] if entry.labelled else None

    def labels(self, name: str) -> Iterator[NDArray[np.float32]]:
        """The labels of a recording's windows, in order.

        Raises
        ------
        DamagedError
        """
        entry = self.entries[name]
        for row in range(entry.start, entry.start + entry.count):
            yield self._opened.get().labels.read([row])[0]

    def close(self) -> None:
        """Close this process's file. Idempotent."""
        self._opened.close()


def _opened(path: Path) -> _Opened:
    return open_steadily(path, functools.partial(_Opened, path))


class _Opened:
    def __init__(self, path: Path) -> None:
        self.entries = _entries(path)
        self.windows, self.labels = RowFile(path, "windows"), RowFile(path, "labels")

    def close(self) -> None:
        self.windows.close()
        self.labels.close()
