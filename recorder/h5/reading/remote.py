"""A finished recording that lies in an object store, or on a web server: read by ranges, through fsspec.

Blocks that were fetched are kept, so that what HDF5 asks for in small pieces takes few requests; a recording
that ``flightrec pack --cloud`` wrote has its structures together in few blocks.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import h5py

from recorder.errors import ClosedError, DamagedError, ReadError
from recorder.h5.leftover import closed_at_exit
from recorder.h5.reading.handle import RecordingFile, is_original
from recorder.h5.untrusted import hide_broken_heap

T = TypeVar("T")
BLOCK_BYTES = 1 << 20
KEPT_BLOCKS = 64
NEEDED = (
    'reading by URL needs fsspec: python -m pip install "flightrec[remote]", and the library of that store'
)


def is_url(path: Any) -> bool:
    """Whether a path is one of fsspec's, as ``s3://bucket/run/experiment_data.h5``."""
    return isinstance(path, str) and "://" in path


class RemoteFile(io.RawIOBase):
    """A file of fsspec for h5py to read, in which broken heaps of text look like no heaps at all.

    Raises
    ------
    FileNotFoundError, OSError
        What the store says.
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        super().__init__()
        try:
            import fsspec
        except ImportError as error:
            raise ImportError(NEEDED) from error
        caching = {"block_size": BLOCK_BYTES, "cache_type": "blockcache"}
        kept = {"cache_options": {"maxblocks": KEPT_BLOCKS}}
        system, path = fsspec.core.url_to_fs(url, **options)
        self._file: Any = system.open(path, "rb", **caching, **kept)
        self.size = int(system.size(path))
        self._position = 0
        self._lock = threading.Lock()
        self.failure: BaseException | None = None
        """What a request met. HDF5 does not survive an exception that goes through it: it gets zeros."""

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As :meth:`io.RawIOBase.seek`."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = begin + offset
        return self._position

    def tell(self) -> int:
        """The position of the next read."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from here; zeros past the end, as HDF5 expects of its drivers."""
        view = memoryview(buffer).cast("B")
        data = self._bytes_at(self._position, len(view))
        view[: len(data)] = data
        view[len(data) :] = bytes(len(view) - len(data))
        start = self._position
        hide_broken_heap(view, self.size - start, lambda n: self._bytes_at(start, n))
        self._position += len(view)
        return len(view)

    def _bytes_at(self, start: int, count: int) -> bytes:
        wanted = min(count, max(0, self.size - start))
        try:
            with self._lock:
                self._file.seek(min(start, self.size))
                data = bytes(self._file.read(wanted))
            if len(data) < wanted:
                raise OSError(f"it has become shorter than the {self.size:,} bytes that it had")
        except Exception as error:
            self.failure = self.failure or error
            return bytes(wanted)
        return data

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            self._file.close()
        super().close()


class RemoteRecording(RecordingFile):
    """A finished recording's file by its URL; every process opens it for itself.

    Attributes
    ----------
    url : str
    nbytes : int
        Size of the file.

    Parameters
    ----------
    options : dict
        What the store's file system of fsspec takes, such as ``key`` and ``endpoint_url``.
    """

    def __init__(self, path: Any, url: str, options: dict[str, Any]) -> None:
        self.url, self.options, self.nbytes = url, options, 0
        self._raw: RemoteFile | None = None
        super().__init__(path)

    def file(self) -> Any:
        """As :meth:`RecordingFile.file`; a recording that has not ended cannot be read so."""
        if self._file is not None and self._pid == os.getpid():
            return self._file
        if self.closed:
            raise ClosedError(f"the loader of {self.url} has been closed: open another one")
        self._raw = raw = RemoteFile(self.url, self.options)
        try:
            self.nbytes = raw.size
            file = closed_at_exit(h5py.File(raw, "r"))
        except OSError as error:
            raw.close()
            if raw.failure is not None:
                raise ReadError(f"{self.url} cannot be read: {raw.failure}") from raw.failure
            raise DamagedError(f"{self.url} is no HDF5 file, or is damaged: {error}") from error
        try:
            self.original = is_original(file, self.path)
            if not self.original and file.attrs.get("status") == "running":
                raise ReadError(
                    f"{self.url} has not ended, or its program was killed: copy its folder and open that"
                )
        except BaseException:
            file.close()
            raise
        self._file, self._pid, self._index = file, os.getpid(), None
        return file

    def steady(self, read: Callable[[], T]) -> T:
        """What ``read`` returns, where every request was answered.

        Raises
        ------
        ReadError
            One was not, or the file is another by now: open it again.
        """
        try:
            found = super().steady(read)
        except DamagedError as error:
            self._check(error)
            raise
        self._check(None)
        return found

    def _check(self, cause: BaseException | None) -> None:
        failure = self._raw.failure if self._raw is not None else None
        if failure is not None:
            self.refresh()
            raise ReadError(f"{self.url} cannot be read: {failure}") from (cause or failure)

    def __getstate__(self) -> dict[str, Any]:
        own = {"url": self.url, "options": self.options, "nbytes": self.nbytes, "_raw": None}
        return super().__getstate__() | own
