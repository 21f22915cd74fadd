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

from recorder.errors import ClosedError, DamagedError, ReadError, ReplacedError
from recorder.h5.leftover import closed_at_exit
from recorder.h5.reading.answers import AnotherError, Answers, Mark, is_another, mark_of
from recorder.h5.reading.collecting import no_collection
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

    Attributes
    ----------
    answers : Answers
        What the store says about the bytes.

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
        # What a listing said, earlier in this process, may be about a file that has been replaced since.
        system.invalidate_cache(path)
        self._system, self._path = system, path
        self._file: Any = system.open(path, "rb", **caching, **kept)
        # Of what was opened, where it says so: asked once more, the store may mean another file.
        mark = mark_of(getattr(self._file, "details", None) or system.info(path))
        self.size = mark[0]
        self._position = 0
        self._lock = threading.Lock()
        self.failure: BaseException | None = None
        """What a request met. HDF5 does not survive an exception that goes through it: it gets zeros."""
        # What a file system of files that it keeps here says is about others, as is what these say.
        direct = getattr(self._file, "fs", None) is system
        self.answers = Answers(self._file, mark, self._now if direct else None)
        if mark[1] is None:
            self._bytes_at(0, 1)  # HDF5 begins there as well, and the answer may say what it is about

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
            with no_collection, self._lock:
                self._file.seek(min(start, self.size))
                data = bytes(self._file.read(wanted))
                self.answers.came()
            if len(data) < wanted:
                raise OSError(f"it has become shorter than the {self.size:,} bytes that it had")
        except Exception as error:
            self.failure = self.failure or error
            return bytes(wanted)
        return data

    def check(self) -> None:
        """Have a failure that cannot be told inside HDF5, and what the store says by now of what was read."""
        if self.failure is None:
            try:
                self.answers.check()
            except Exception as error:
                self.failure = self.failure or error

    def replaced(self) -> bool:
        """Whether the store has another file in this place by now; False where it does not say."""
        if isinstance(self.failure, AnotherError):
            return True
        try:
            return is_another(self.answers.mark, self._now())
        except Exception:
            return False

    def _now(self) -> Mark:
        self._system.invalidate_cache(self._path)
        return mark_of(self._system.info(self._path))

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
    mark : tuple or None
        The file that was opened first, see :class:`Answers`. Every process reads that one or none:
        rows of two files would look like those of one.

    Parameters
    ----------
    options : dict
        What the store's file system of fsspec takes, such as ``key`` and ``endpoint_url``.
    """

    def __init__(self, path: Any, url: str, options: dict[str, Any]) -> None:
        self.url, self.options, self.nbytes = url, options, 0
        self.mark: Mark | None = None
        self._raw: RemoteFile | None = None
        super().__init__(path)

    def file(self) -> Any:
        """As :meth:`RecordingFile.file`; a recording that has not ended cannot be read so.

        Raises
        ------
        ReplacedError
            The file is another than the one that was opened first.
        """
        if self._file is not None and self._pid == os.getpid():
            return self._file
        if self.closed:
            raise ClosedError(f"the loader of {self.url} has been closed: open another one")
        raw = RemoteFile(self.url, self.options)
        mark = raw.answers.mark
        if raw.failure is not None:
            raw.close()
            raise self._said(raw) from raw.failure
        if self.mark is not None and is_another(self.mark, mark):
            raw.close()
            raise self._replaced()
        self._raw = raw
        try:
            self.nbytes = raw.size
            with no_collection:
                no_collection.wait()
                file = closed_at_exit(h5py.File(raw, "r"))
        except OSError as error:
            raw.close()
            if raw.failure is not None:
                raise self._said(raw) from raw.failure
            raise DamagedError(f"{self.url} is no HDF5 file, or is damaged: {error}") from error
        try:
            self.original = is_original(file, self.path)
            if not self.original and file.attrs.get("status") == "running":
                raise ReadError(
                    f"{self.url} has not ended, or its program was killed: copy its folder and open that"
                )
        except BaseException as error:
            file.close()
            if raw.failure is not None:
                raise self._said(raw) from error
            raise
        self._file, self._pid, self._index, self.mark = file, os.getpid(), None, mark
        return file

    def steady(self, read: Callable[[], T]) -> T:
        """What ``read`` returns, where every request was answered.

        Raises
        ------
        ReadError
            One was not.
        ReplacedError
            The file is another by now: make another loader.
        """
        outermost = not getattr(self._inside, "reading", False)
        self.file()
        before = self._raw
        self._inside.reading = True
        try:
            with no_collection:
                no_collection.wait()
                found = super().steady(read)
        except Exception as error:  # whatever bytes of two files lead to
            self._check(before, error, ask=outermost)
            raise
        finally:
            self._inside.reading = not outermost
        self._check(before, None, ask=outermost)
        return found

    def _check(self, before: RemoteFile | None, cause: BaseException | None, *, ask: bool) -> None:
        # Another thread that met a failure may have had the file opened anew.
        for raw in (before, self._raw):
            if raw is None:
                continue
            if ask:
                raw.check()
            if raw.failure is not None:
                self.refresh()
                raise self._said(raw) from (cause or raw.failure)

    def _said(self, raw: RemoteFile) -> ReadError:
        if raw.replaced():
            return self._replaced()
        return ReadError(f"{self.url} cannot be read: {raw.failure}")

    def _replaced(self) -> ReplacedError:
        return ReplacedError(
            f"{self.url} is another file than when it was opened: it has been replaced, and what this loader "
            "has read belongs to the one before. Open it with a new ExperimentLoader"
        )

    def __getstate__(self) -> dict[str, Any]:
        own = {"url": self.url, "options": self.options, "nbytes": self.nbytes, "mark": self.mark}
        return super().__getstate__() | own | {"_raw": None}
