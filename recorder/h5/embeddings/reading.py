"""``dataset.h5``, open for reading: its tensors as arrays, in memory or mapped, its lists and its splits."""

from __future__ import annotations

import math
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recorder.errors import DamagedError, MissingFileError
from recorder.format.embeddings import (
    CONFIG,
    FIELDS,
    KEYWORD_GROUP,
    SPLIT_GROUP,
    SPLITS,
)
from recorder.h5.embeddings import keywords
from recorder.h5.reading.budget import check_size
from recorder.h5.reading.dataset import is_plain
from recorder.h5.reading.guard import child_dataset, child_group, damage
from recorder.h5.reading.rows import read_rows
from recorder.h5.reading.scattered import RowFile
from recorder.h5.untrusted import OpenUntrusted, open_untrusted

Empty = Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]

_MOST_CONFIG = 16 << 20
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0


class EmbeddingFile:
    """A file with embeddings, steering vectors, negatives and splits.

    Parameters
    ----------
    path : Path

    Raises
    ------
    MissingFileError
        There is no such file.
    DamagedError
        It is no HDF5 file, or not a whole one.
    OSError
        It cannot be read, or another program is writing it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_untrusted(path, lock=True)
        except FileNotFoundError as error:
            raise MissingFileError(f"HDF5 file not found: {path}") from error
        except (BlockingIOError, PermissionError, IsADirectoryError):
            raise
        except OSError as error:
            raise DamagedError(f"{path} is no HDF5 file, or is damaged: {error}") from error
        self._mapping: mmap.mmap | None = None

    def close(self) -> None:
        """Close the file; what was mapped stays so."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def missing(self) -> list[str]:
        """Paths that every dataset has, and this file lacks."""
        lacks = [field.path for stem, field in FIELDS.items() if self._found(stem) is None]
        return lacks + [KEYWORD_GROUP] * (self._group(KEYWORD_GROUP) is None)

    def path_of(self, stem: str) -> str:
        """Where a field stands in the file; where it is written if it stands nowhere."""
        return next((p for p in FIELDS[stem].paths if self._dataset(p) is not None), FIELDS[stem].path)

    def read(self, stem: str, empty: Empty = np.empty) -> NDArray[Any]:
        """All rows of a field as a fresh, writable array in the machine's own byte order.

        Parameters
        ----------
        stem : str
        empty : callable
            Makes the array that is filled, from its shape and dtype. NumPy asks for huge pages, which a
            virtual machine may take four times as long to give as the others.

        Raises
        ------
        DamagedError
            It is not there, or its bytes do not say what they must.
        """
        dataset = self._needed(stem)
        if not dataset.dtype.isnative or 0 in dataset.shape:
            return self._read(dataset)
        with damage(f"{self.path}: {dataset.name}"):
            check_size(dataset, math.prod(dataset.shape) * dataset.dtype.itemsize)
            offset, out = self._offset(dataset), empty(dataset.shape, dataset.dtype)
            if offset is not None:
                self._fill(out.reshape(-1).view(np.uint8).data, offset, dataset.name)
                return out
        rows = RowFile(self.path, dataset.name)
        try:
            return rows.read(np.arange(len(rows)), out)
        finally:
            rows.close()

    def mapped(self, stem: str) -> NDArray[Any] | None:
        """All rows of a field where they stand in the file: read as they are looked at.

        None where they are filtered or in chunks, or not as NumPy has them in memory. What is written into
        the array stays in this process, and not for long.

        Raises
        ------
        DamagedError
            As :meth:`read`.
        """
        dataset = self._needed(stem)
        offset = self._offset(dataset)
        if offset is None or offset % dataset.dtype.itemsize or not dataset.dtype.isnative:
            return None
        if self._mapping is None:
            # Private maps of files larger than the memory are refused unless nothing is set aside for them.
            self._mapping = mmap.mmap(
                self._raw.raw.descriptor,
                0,
                flags=mmap.MAP_PRIVATE | _NO_RESERVE,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
            )
        count = math.prod(dataset.shape)
        if offset + count * dataset.dtype.itemsize > len(self._mapping):
            raise DamagedError(f"{self.path}: {dataset.name} reaches behind the file's end")
        return np.frombuffer(self._mapping, dataset.dtype, count, offset).reshape(dataset.shape)

    def rows(self, stem: str) -> RowFile | None:
        """A field whose rows are read when they are asked for; None where they have another byte order."""
        dataset = self._needed(stem)
        return RowFile(self.path, dataset.name) if dataset.dtype.isnative else None

    def keyword_lists(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """All keyword lists one after the other, and where each begins and the last one ends.

        Raises
        ------
        DamagedError
            They are not there, or their places do not fit.
        """
        group = self._group(KEYWORD_GROUP)
        if group is None:
            raise DamagedError(f"{self.path}: there is no group {KEYWORD_GROUP!r}")
        with damage(f"{self.path}: {KEYWORD_GROUP}"):
            return keywords.read(group, self._read)

    def splits(self) -> Iterator[str]:
        """Names of the splits that are there."""
        return (name for name in SPLITS if self._dataset(f"{SPLIT_GROUP}/{name}") is not None)

    def split(self, name: str) -> NDArray[Any]:
        """Pair numbers of a split that is there."""
        return self._read(self._dataset(f"{SPLIT_GROUP}/{name}"))

    def config(self) -> str | None:
        """The text of ``config.json`` when the file was written; None where none was kept."""
        with damage(f"{self.path}: {CONFIG}"):
            dataset = child_dataset(self._file, CONFIG)
            if dataset is None or dataset.shape or dataset.dtype.kind != "S":
                return None
            check_size(dataset, dataset.dtype.itemsize)
            if dataset.dtype.itemsize > _MOST_CONFIG:
                raise DamagedError(f"{CONFIG} claims {dataset.dtype.itemsize:,} bytes")
            return bytes(dataset[()]).decode("utf-8")

    @property
    def _raw(self) -> Any:
        return self._file if isinstance(self._file, OpenUntrusted) else None

    def _group(self, path: str) -> Any | None:
        group: Any = self._file
        for name in path.split("/"):
            group = None if group is None else child_group(group, name)
        return group

    def _dataset(self, path: str) -> Any | None:
        place, _, name = path.rpartition("/")
        group = self._group(place)
        return None if group is None else child_dataset(group, name)

    def _found(self, stem: str) -> Any | None:
        return next(filter(None, map(self._dataset, FIELDS[stem].paths)), None)

    def _needed(self, stem: str) -> Any:
        dataset = self._found(stem)
        if dataset is None or not dataset.shape:
            raise DamagedError(f"{self.path}: there is no dataset {FIELDS[stem].path!r} of rows")
        return dataset

    def _offset(self, dataset: Any) -> int | None:
        """Where a dataset's values stand in the file, if they stand there as NumPy has them in memory."""
        if dataset.chunks or self._raw is None or self._raw.raw is None:
            return None
        plain = is_plain(dataset.id.get_type(), dataset.dtype)
        offset = dataset.id.get_offset() if plain else None
        return None if offset is None else int(offset)

    def _read(self, dataset: Any) -> NDArray[Any]:
        with damage(f"{self.path}: {dataset.name}"):
            offset = self._offset(dataset)
            if offset is None:
                out = read_rows(dataset, 0, dataset.shape[0])
            else:
                check_size(dataset, math.prod(dataset.shape) * dataset.dtype.itemsize)
                out = np.empty(dataset.shape, dataset.dtype)
                self._fill(out.reshape(-1).view(np.uint8).data, offset, dataset.name)
            # Neither is a copy where it need not be one.
            return np.require(out.astype(out.dtype.newbyteorder("="), copy=False), None, ["C", "W"])

    def _fill(self, view: memoryview, offset: int, name: str) -> None:
        descriptor, done = self._raw.raw.descriptor, 0
        while done < len(view):
            got = os.preadv(descriptor, [view[done:]], offset + done)
            if not got:
                raise DamagedError(f"{self.path}: {name} reaches behind the file's end")
            done += got
