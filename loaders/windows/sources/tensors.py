"""Tensors in ``.pt`` files: a whole recording in one, or a folder with one for each window."""

from __future__ import annotations

import hashlib
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loaders.windows.sources.arrays import KEY, RATE_KEYS
from loaders.windows.sources.source import as_rate, checked_numbers, file_fingerprint
from recorder.errors import ReadError

SUFFIX = ".pt"


@dataclass(frozen=True)
class TensorFile:
    """A ``.pt`` file: a tensor (channels, samples), or a dict with one as ``data``."""

    path: Path

    def open(self, scratch: Path) -> TensorSamples:  # noqa: ARG002 - as every source
        """See :class:`Source`."""
        return TensorSamples(self.path)

    def fingerprint(self) -> dict[str, Any]:
        """See :class:`Source`."""
        return file_fingerprint(self.path)

    def place(self) -> dict[str, str]:
        """See :class:`Source`."""
        return {"folder": os.fspath(self.path.resolve().parent), "format": "pt"}


class TensorSamples:
    """A tensor that the kernel pages in as it is read."""

    def __init__(self, path: Path) -> None:
        found = load_tensor(path)
        self.rate: float | None = None
        if isinstance(found, dict):
            stated = next((found[key] for key in RATE_KEYS if key in found), None)
            self.rate = as_rate(stated, str(path))
            if KEY not in found:
                raise ReadError(f"{path} has no {KEY!r}; it has {', '.join(map(str, found)) or 'nothing'}")
            found = found[KEY]
        self._array = numpy_of(found, path)
        checked_numbers(self._array.dtype, self._array.shape, str(path))
        self.channels, self.samples = self._array.shape

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """See :class:`Samples`."""
        return self._array[:, start:stop].astype(np.float64)

    def close(self) -> None:
        """See :class:`Samples`."""
        self._array = np.empty((0, 0))


def load_tensor(path: Path) -> Any:
    """What a ``.pt`` file holds, of tensors and plain values only; mapped where its format allows that.

    Raises
    ------
    ReadError
        It holds anything else, or is damaged.
    """
    import torch

    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:
            # Files from before torch 1.6 cannot be mapped.
            return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise ReadError(f"{path} holds no tensor, or is damaged: {error}") from error


def numpy_of(found: Any, path: Path) -> NDArray[Any]:
    """A tensor as an array that shares its memory.

    Raises
    ------
    ReadError
        It is none, or of a type that NumPy has not.
    """
    import torch

    if not isinstance(found, torch.Tensor) or found.layout != torch.strided:
        raise ReadError(f"{path}: expected a dense tensor, got {type(found).__name__}")
    if found.dtype == torch.bfloat16:
        found = found.float()
    try:
        array: NDArray[Any] = found.detach().numpy()
    except (TypeError, RuntimeError) as error:
        raise ReadError(f"{path}: {error}") from error
    return array


def window_files(folder: Path) -> list[Path]:
    """The files ``<n>.pt`` of a folder, by their numbers."""
    found = [path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal()]
    return sorted(found, key=lambda path: (int(path.stem), path.name))


@dataclass(frozen=True)
class TensorWindows:
    """A folder of windows ``<n>.pt``, each a tensor (channels, samples), that are taken as they are."""

    path: Path

    def open(self, scratch: Path) -> WindowSamples:  # noqa: ARG002 - as every source
        """See :class:`Source`."""
        return WindowSamples(self.path)

    def fingerprint(self) -> dict[str, Any]:
        """See :class:`Source`."""
        # Sums and the latest time would miss an older file that another one has replaced.
        found, digest = [(path.name, path.stat()) for path in window_files(self.path)], hashlib.sha256()
        for name, file in found:
            digest.update(f"{name} {file.st_size} {file.st_mtime_ns}\n".encode())
        return {
            "path": os.fspath(self.path.resolve()),
            "files": len(found),
            "bytes": sum(file.st_size for _, file in found),
            "sha256": digest.hexdigest(),
        }

    def place(self) -> dict[str, str]:
        """See :class:`Source`."""
        return {"folder": os.fspath(self.path.resolve().parent), "format": "pt windows"}


class WindowSamples:
    """Windows one after the other, as if they were a recording without gaps: stride and size are one."""

    rate: float | None = None

    def __init__(self, folder: Path) -> None:
        self._files = window_files(folder)
        if not self._files:
            raise ReadError(f"{folder} has no windows <n>.pt")
        shape = self._window(0).shape
        self.channels, self._size = int(shape[0]), int(shape[1])
        self.samples = self._size * len(self._files)

    @property
    def size(self) -> int:
        """Samples of a window."""
        return self._size

    def _window(self, number: int) -> NDArray[Any]:
        path = self._files[number]
        array = numpy_of(load_tensor(path), path)
        checked_numbers(array.dtype, array.shape, str(path))
        return array

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """See :class:`Samples`; from one window's beginning to another's end."""
        windows = [self._window(number) for number in range(start // self._size, stop // self._size)]
        for number, window in enumerate(windows, start // self._size):
            if window.shape != (self.channels, self._size):
                raise ReadError(
                    f"{self._files[number]}: expected shape {(self.channels, self._size)}, got {window.shape}"
                )
        return np.concatenate(windows, axis=1, dtype=np.float64)

    def close(self) -> None:
        """See :class:`Samples`."""
