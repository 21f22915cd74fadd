"""Arrays of NumPy: ``.npy``, and the key ``data`` of ``.npz``, without the whole of them in memory."""

from __future__ import annotations

import os
import struct
import tempfile
import threading
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from loaders.windows.sources.source import as_rate, checked_numbers, file_fingerprint
from recorder.errors import ReadError

KEY = "data"
RATE_KEYS = ("sampling_rate", "sfreq", "fs")
# Its functions have no types.
_npy: Any = npy_format
_PIECE = 1 << 20
_LOCAL_HEADER = 30


@dataclass(frozen=True)
class ArrayFile:
    """A ``.npz`` with ``data`` (channels, samples), or such a ``.npy``."""

    path: Path

    def open(self, scratch: Path) -> ArraySamples:
        """See :class:`Source`."""
        return ArraySamples(self.path, scratch)

    def fingerprint(self) -> dict[str, Any]:
        """See :class:`Source`."""
        return file_fingerprint(self.path)

    def place(self) -> dict[str, str]:
        """See :class:`Source`."""
        return {"folder": os.fspath(self.path.resolve().parent), "format": self.path.suffix[1:]}


class ArraySamples:
    """An array in a file. A compressed one is unpacked, at the first read, into a file without a name."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path, self._scratch = path, scratch
        self._lock = threading.Lock()
        self._descriptor = -1
        self.rate: float | None = None
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                self._take(*_header(file, str(path)))
                self._offset = file.tell()
            return
        try:
            with zipfile.ZipFile(path) as archive:
                self._look(archive)
        except zipfile.BadZipFile as error:
            raise ReadError(f"{path} is no .npz file, or is damaged: {error}") from error

    def _look(self, archive: zipfile.ZipFile) -> None:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
        if KEY not in names:
            raise ReadError(f"{self._path} has no array {KEY!r}; it has {', '.join(sorted(names)) or 'none'}")
        with archive.open(f"{KEY}.npy") as file:
            self._take(*_header(file, f"{self._path}: {KEY}"))
            self._offset = file.tell()
        for key in RATE_KEYS:
            if key in names:
                with archive.open(f"{key}.npy") as file:
                    stated = _npy.read_array(file, allow_pickle=False)
                self.rate = as_rate(stated, str(self._path))
                break

    def _take(self, shape: tuple[int, ...], fortran: bool, dtype: np.dtype[Any]) -> None:
        checked_numbers(dtype, shape, str(self._path))
        self.channels, self.samples = shape
        self._fortran, self._dtype = fortran, dtype

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """See :class:`Samples`."""
        with self._lock:
            if self._descriptor < 0:
                self._descriptor = self._unpacked()
        count = stop - start
        shape = (count, self.channels) if self._fortran else (self.channels, count)
        found = np.empty(shape, self._dtype)
        width = self._dtype.itemsize
        if self._fortran:
            self._fill(found, start * self.channels * width)
            return np.ascontiguousarray(found.T, np.float64)
        for channel in range(self.channels):
            self._fill(found[channel], (channel * self.samples + start) * width)
        return found.astype(np.float64)

    def _fill(self, target: NDArray[Any], at: int) -> None:
        view, done = target.reshape(-1).view(np.uint8).data, 0
        while done < len(view):
            got = os.preadv(self._descriptor, [view[done:]], self._offset + at + done)
            if not got:
                raise ReadError(f"{self._path} ends before its array does")
            done += got

    def _unpacked(self) -> int:
        """A descriptor from which the array can be read by position."""
        if self._path.suffix.lower() == ".npy":
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with zipfile.ZipFile(self._path) as archive:
                member = archive.getinfo(f"{KEY}.npy")
                if member.compress_type == zipfile.ZIP_STORED:
                    # Read to its end once: zip's checksum is what tells of damage.
                    with archive.open(member) as file:
                        while file.read(_PIECE):
                            pass
                    return self._stored(member)
                return self._spilled(archive, member)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ReadError(f"{self._path}: {KEY} is damaged: {error}") from error

    def _stored(self, member: zipfile.ZipInfo) -> int:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        local = os.pread(descriptor, _LOCAL_HEADER, member.header_offset)
        name, extra = struct.unpack_from("<HH", local, 26)
        self._offset += member.header_offset + _LOCAL_HEADER + name + extra
        return descriptor

    def _spilled(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
        with tempfile.TemporaryFile(dir=self._scratch) as spill, archive.open(member) as file:
            file.read(self._offset)
            while piece := file.read(_PIECE):
                spill.write(piece)
            spill.flush()
            self._offset = 0
            return os.dup(spill.fileno())

    def close(self) -> None:
        """See :class:`Samples`."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)


def _header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = _npy.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = _npy.read_array_header_1_0(file)
            return shape, fortran, dtype
        if version == (2, 0):
            shape, fortran, dtype = _npy.read_array_header_2_0(file)
            return shape, fortran, dtype
    except (ValueError, EOFError) as error:
        raise ReadError(f"{where} is no array of NumPy: {error}") from error
    raise ReadError(f"{where}: arrays of version {version} have named fields, expected numbers")
