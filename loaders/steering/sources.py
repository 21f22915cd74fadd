"""Where the tensors of a dataset come from: ``.pt`` files or ``dataset.h5``, in memory or mapped."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from loaders.steering import ptfiles
from loaders.steering.keywords import KeywordLists
from loaders.steering.rows import StoredRows
from recorder.errors import DamagedError, OptionError, ReadError
from recorder.format.embeddings import DATASET_FILE, FIELDS, HARD_NEGATIVES, split_stem, tensor_file

if TYPE_CHECKING:
    from recorder.h5.embeddings.reading import EmbeddingFile

Rows = torch.Tensor | StoredRows
Stamp = tuple[int, int]
"""Size of a file, and when it was changed."""

PT, HDF5 = "pt", "hdf5"


class Source(Protocol):
    """One way to store a dataset."""

    name: str

    def close(self) -> None:
        """Let go of open files; what was mapped stays so."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def label(self, stem: str) -> str:
        """What messages call a field."""

    def stamp(self, stem: str) -> Stamp:
        """What tells the file of a field from a later one at its place."""

    def tensor(self, stem: str, *, mapped: bool) -> Rows:
        """A field, on the CPU."""

    def keyword_lists(self) -> KeywordLists:
        """The keyword lists."""

    def split(self, name: str) -> torch.Tensor | None:
        """Pair numbers of a split; None where there is no such split."""


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


class PtSource:
    """A folder's ``.pt`` files."""

    name = PT

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def label(self, stem: str) -> str:
        """As :meth:`Source.label`."""
        return tensor_file(stem)

    def stamp(self, stem: str) -> Stamp:
        """As :meth:`Source.stamp`."""
        return _stamp(self._folder / tensor_file(stem))

    def tensor(self, stem: str, *, mapped: bool) -> Rows:
        """As :meth:`Source.tensor`; negatives are never mapped.

        Builders write them anew while a model is trained, into the same file: a map of it would change, and
        reach behind its end.
        """
        mapped = mapped and stem not in HARD_NEGATIVES
        return ptfiles.load_tensor(self._folder / tensor_file(stem), mapped=mapped)

    def keyword_lists(self) -> KeywordLists:
        """As :meth:`Source.keyword_lists`."""
        return ptfiles.load_lists(self._folder)

    def split(self, name: str) -> torch.Tensor | None:
        """As :meth:`Source.split`."""
        path = self._folder / tensor_file(split_stem(name))
        return ptfiles.load_tensor(path) if path.is_file() else None


class Hdf5Source:
    """A folder's ``dataset.h5``."""

    name = HDF5

    def __init__(self, folder: Path) -> None:
        self._path = folder / DATASET_FILE
        if not self._path.is_file():
            raise ReadError(f"HDF5 file not found: {self._path}")
        self._file = embedding_file(self._path)

    def close(self) -> None:
        """As :meth:`Source.close`."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def label(self, stem: str) -> str:
        """As :meth:`Source.label`."""
        return f"{DATASET_FILE}: {self._file.path_of(stem)}"

    def stamp(self, stem: str) -> Stamp:  # noqa: ARG002 - one file has them all
        """As :meth:`Source.stamp`."""
        return _stamp(self._path)

    def tensor(self, stem: str, *, mapped: bool) -> Rows:
        """As :meth:`Source.tensor`; mapped and compressed, it is one whose rows are read when asked for."""
        if mapped:
            found = self._file.mapped(stem)
            if found is not None:
                return _as_tensor(self.label(stem), found)
            rows = self._file.rows(stem) if FIELDS[stem].large else None
            if rows is not None:
                _as_tensor(self.label(stem), rows.read([]))
                return StoredRows(rows)
        return _as_tensor(self.label(stem), self._file.read(stem, _empty))

    def keyword_lists(self) -> KeywordLists:
        """As :meth:`Source.keyword_lists`."""
        return KeywordLists(*self._file.keyword_lists())

    def split(self, name: str) -> torch.Tensor | None:
        """As :meth:`Source.split`."""
        if name not in self._file.splits():
            return None
        return _as_tensor(f"{DATASET_FILE}: split {name}", self._file.split(name))

    def what_is_missing(self) -> list[str]:
        """Paths of what every dataset has and the file lacks."""
        return self._file.missing()


def _empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """An array in memory that torch took, as it does for ``.pt`` files."""
    try:
        kind = torch.from_numpy(np.empty(0, dtype)).dtype
    except TypeError:  # refused as soon as it is a tensor
        return np.empty(shape, dtype)
    array: NDArray[Any] = torch.empty(shape, dtype=kind).numpy()
    return array


def _as_tensor(label: str, array: Any) -> torch.Tensor:
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise DamagedError(f"{label} has values of type {array.dtype}: {error}") from error


def has_h5py() -> bool:
    """Whether HDF5 files can be read here."""
    with contextlib.suppress(ImportError):
        import recorder.h5.embeddings.reading  # noqa: F401

        return True
    return False


def embedding_file(path: Path) -> EmbeddingFile:
    """Open a ``dataset.h5``.

    Raises
    ------
    OptionError
        There is no h5py.
    """
    if not has_h5py():
        raise OptionError("HDF5 format requested but h5py is not installed. Install with: pip install h5py")
    from recorder.h5.embeddings.reading import EmbeddingFile

    return EmbeddingFile(path)


def open_source(folder: Path, storage_format: str) -> Source:
    """The files of a folder in one format.

    Raises
    ------
    ReadError
        There is no ``dataset.h5``; ``.pt`` files are missed one by one.
    """
    return PtSource(folder) if storage_format == PT else Hdf5Source(folder)
