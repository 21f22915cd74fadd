"""Reading single windows of an ``.npz``: ours by blocks, stored ones by position, others from their start."""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
import zipfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loaders.windows.eeg import fingerprint
from loaders.windows.eeg.npzparts import Apart, Inflating, array_header, damage, exactly
from loaders.windows.eeg.npzwrite import EXTRA_BLOCK, EXTRA_HEAD, EXTRA_ID, VERSION
from loaders.windows.eeg.settings import CHANNELS, WINDOW
from recorder.errors import DamagedError
from recorder.format.blocks import decode_block
from recorder.format.deflate import INFLATER

Window = NDArray[np.float32]

_LOCAL_HEAD = 30
_PART = 1 << 20


class NpzFile:
    """An open archive of ``windows`` (n, 19, 15360) float32 and, mostly, ``labels`` (n, 15360) float32.

    Threads may share one. The file stays open until the last reference goes, so that a file which takes its
    name meanwhile changes nothing for whoever reads.

    Attributes
    ----------
    stamp : list of int
        Of the file that is open.
    count : int
        Windows.
    record : dict or None
        What the archive was made from, where it says so.
    fingerprint : str
        Of the contents, from the checksums in the archive's directory.
    windows : Member
    labels : Member or None

    Raises
    ------
    FileNotFoundError
    DamagedError
        No such archive, or arrays of other types or shapes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.stamp = fingerprint.stamp(os.fstat(self.descriptor))
        with damage(path):
            with zipfile.ZipFile(Apart(self.descriptor)) as archive:
                members = {info.filename: info for info in archive.infolist()}
                comment = archive.comment
            if "windows.npy" not in members:
                raise DamagedError("it has no array 'windows'")
            self.windows = Member(self, members["windows.npy"], (len(CHANNELS), WINDOW))
            self.labels = None
            if "labels.npy" in members:
                self.labels = Member(self, members["labels.npy"], (WINDOW,))
                if self.labels.count != self.windows.count:
                    raise DamagedError(f"{self.labels.count} labels of {self.windows.count} windows")
        self.count = self.windows.count
        self.record = parse_record(comment)
        if self.record is None and self.windows.blocks is not None:
            # Ours have one, at the very end: zipfile does not mind where it was cut.
            raise DamagedError(f"{path}: it ends early")
        self.fingerprint = _fingerprint(members, self.record)

    def __del__(self) -> None:
        if getattr(self, "descriptor", -1) >= 0:
            with contextlib.suppress(OSError):
                os.close(self.descriptor)
            self.descriptor = -1


class Member:
    """One array of an archive.

    Attributes
    ----------
    name : str
    count : int
        Rows.
    nbytes : int
        Of all rows, decoded.
    direct : bool
        Whether single rows can be read.
    blocks : Blocks or None
        Where they are, in a file of ours.
    """

    def __init__(self, npz: NpzFile, info: zipfile.ZipInfo, row: tuple[int, ...]) -> None:
        self._npz, self._info, self.row = npz, info, row
        self.name = info.filename
        if info.flag_bits & 1:
            raise DamagedError(f"{info.filename} is encrypted")
        head = os.pread(npz.descriptor, _LOCAL_HEAD, info.header_offset)
        if len(head) < _LOCAL_HEAD or head[:4] != b"PK\x03\x04":
            raise DamagedError(f"{info.filename} is not where the directory says")
        self._start = info.header_offset + _LOCAL_HEAD + sum(struct.unpack_from("<2H", head, 26))
        self.blocks = _blocks(info)
        self._stored = info.compress_type == zipfile.ZIP_STORED
        self.direct = self._stored or self.blocks is not None
        header = self._header()
        shape, fortran, dtype = array_header(header)
        if shape[1:] != row or shape[0] < 0 or dtype != np.float32 or (fortran and shape[0] > 1):
            raise DamagedError(f"{info.filename} is {dtype} {shape} instead of float32 (n, {str(row)[1:]}")
        # As NumPy writes a single window that is a transposed view; of one axis both orders are the same.
        self._order: Literal["C", "F"] = "F" if fortran else "C"
        self.count = shape[0]
        self._row_bytes = 4 * math.prod(row)
        self.nbytes = self.count * self._row_bytes
        self._header_size = info.file_size - self.nbytes
        if self.blocks is not None:
            self._check_blocks(self.blocks)
        elif self._stored and (len(header) < self._header_size or not self._header_size > 0):
            raise DamagedError(f"{info.filename} has {info.file_size:,} bytes, which {shape} does not need")

    def _header(self) -> bytes:
        if self._stored:
            return os.pread(self._npz.descriptor, min(4096, self._info.file_size), self._start)
        return self._open().read(min(4096, self._info.file_size))

    def _check_blocks(self, blocks: Blocks) -> None:
        if len(blocks.sizes) != -(-self.count // blocks.rows) or blocks.ends[-1] > self._info.compress_size:
            raise DamagedError(f"{self._info.filename} has {len(blocks.sizes)} blocks of {self.count} rows")

    def _open(self) -> Inflating:
        """All of it, inflated as it is read."""
        return Inflating(self._npz.descriptor, self._start, self._info)

    def read(self, row: int) -> Window:
        """One row, as an array of its own.

        Raises
        ------
        IndexError
        DamagedError
        """
        if not 0 <= row < self.count:
            raise IndexError(f"{self._npz.path} has windows 0 to {self.count - 1}, not {row}")
        with damage(self._npz.path):
            if self.blocks is not None:
                number, within = divmod(row, self.blocks.rows)
                raw = self._block(number)
                view = raw[within * self._row_bytes : (within + 1) * self._row_bytes]
                return self._shaped(view)
            if self._stored:
                out = np.empty(self.row, np.float32)
                self._fill(out, self._start + self._header_size + row * self._row_bytes)
                return out if self._order == "C" else self._shaped(out.tobytes())
            for number, found in enumerate(self.rows()):
                if number == row:
                    return found
        raise DamagedError(f"{self._npz.path}: {self._info.filename} ends before row {row}")

    def _block(self, number: int) -> bytes:
        assert self.blocks is not None
        rows = min(self.blocks.rows, self.count - number * self.blocks.rows)
        size = int(self.blocks.sizes[number])
        place = self._start + int(self.blocks.ends[number]) - size
        raw = decode_block(os.pread(self._npz.descriptor, size, place), rows * self._row_bytes)
        if INFLATER.crc32(raw) != int(self.blocks.crcs[number]):
            raise DamagedError(f"block {number} of {self._info.filename} has another CRC-32")
        return raw

    def _fill(self, out: Window, offset: int) -> None:
        view, done = out.reshape(-1).view(np.uint8).data, 0
        while done < len(view):
            got = os.preadv(self._npz.descriptor, [view[done:]], offset + done)
            if not got:
                raise DamagedError(f"{self._info.filename} ends early")
            done += got

    def _shaped(self, data: bytes, shape: tuple[int, ...] | None = None) -> Window:
        found = np.frombuffer(data, np.float32).reshape(shape or self.row, order=self._order)
        return found.copy("C")

    def rows(self) -> Iterator[Window]:
        """All rows in order, each an array of its own, none kept.

        Raises
        ------
        DamagedError
        """
        if self.direct and self.blocks is not None:
            for row in range(self.count):
                yield self.read(row)
            return
        with damage(self._npz.path):
            stream = self._open()
            exactly(stream, self._header_size)
            for _ in range(self.count):
                yield self._shaped(exactly(stream, self._row_bytes))
            # Only at its end are the CRC-32 of all of it and the stored one compared.
            if stream.read(1):
                raise DamagedError(f"{self._info.filename} goes on behind its last row")

    def read_all(self) -> Window:
        """All of it, ``(count, *row)``.

        Raises
        ------
        DamagedError
        """
        if self.nbytes > max(1 << 20, 2000 * self._info.compress_size):
            raise DamagedError(
                f"{self._npz.path}: {self.name} claims {self.nbytes:,} bytes in {self._info.compress_size:,}"
            )
        out = np.empty((self.count, *self.row), np.float32)
        with damage(self._npz.path):
            stream, view, done = self._open(), out.reshape(-1).view(np.uint8).data, 0
            exactly(stream, self._header_size)
            while part := stream.read(_PART):
                # One that is too long does not fit.
                view[done : done + len(part)] = part
                done += len(part)
            if done != len(view):
                raise DamagedError(f"{self.name} ends early")
        return out if self._order == "C" else self._shaped(out.tobytes(), out.shape)


class Blocks:
    """The extra field: where the blocks are."""

    def __init__(self, field: bytes) -> None:
        version, _, self.rows, first, _ = EXTRA_HEAD.unpack_from(field)
        if version != VERSION or self.rows < 1:
            raise DamagedError(f"blocks of version {version}, of {self.rows} rows: this is version {VERSION}")
        table = np.frombuffer(field, np.dtype([("size", "<u4"), ("crc", "<u4")]), offset=EXTRA_HEAD.size)
        assert table.dtype.itemsize == EXTRA_BLOCK.size
        self.sizes, self.crcs = table["size"], table["crc"]
        self.ends = first + np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)])[1:]
        if not len(self.ends):
            self.ends = np.zeros(1, np.int64)


def _blocks(info: zipfile.ZipInfo) -> Blocks | None:
    extra, at = info.extra, 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == EXTRA_ID:
            return Blocks(extra[at + 4 : at + 4 + size])
        at += 4 + size
    return None


def parse_record(comment: bytes) -> dict[str, Any] | None:
    """What an archive of ours says of its origin; None where it says nothing."""
    try:
        found = json.loads(comment)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "flightrec" in found else None


def _fingerprint(members: dict[str, zipfile.ZipInfo], record: dict[str, Any] | None) -> str:
    said = [
        [name, info.file_size, info.CRC]
        for name, info in sorted(members.items())
        if name in ("windows.npy", "labels.npy")
    ]
    settings = None if record is None else record.get("settings")
    return blake2b(json.dumps([said, settings], sort_keys=True).encode(), digest_size=16).hexdigest()
