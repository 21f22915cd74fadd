"""Whether what a store answers is about the file that was opened.

Where the store compares for itself, as S3 does, or its file is of a fixed version, nothing is to be done. Web
servers say in each answer what it is about. Any other store is asked once more, after bytes came, before what
was read of them is handed out: one request for each read that needed some.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

from recorder.errors import ReadError

Mark = tuple[int, str | None]
"""Size, and what the store says about the bytes; another file has another one."""
MARKS = ("ETag", "etag", "generation", "mtime", "Last-Modified", "last_modified")
"""What file systems of fsspec, and web servers, call that which changes with the bytes of a file."""


class AnotherError(Exception):
    """The store has another file in this place by now."""


def mark_of(found: Mapping[str, Any]) -> Mark:
    """The mark in what ``info`` of a file system says.

    Raises
    ------
    ReadError
        It does not say how long the file is.
    """
    size = found.get("size")
    if size is None:
        raise ReadError(
            f"{found.get('name', 'the file')} cannot be read by ranges: the store does not say how long it is"
        )
    return int(size), _said(found)


def is_another(mark: Mark, now: Mark) -> bool:
    """Whether these are of two files, as far as the store says so."""
    return mark[0] != now[0] or (None not in (mark[1], now[1]) and mark[1] != now[1])


class Answers:
    """What a store answers about an open file of fsspec.

    Attributes
    ----------
    mark : tuple
    asks : bool
        Whether the store is asked once more.

    Parameters
    ----------
    file : object
        The file, whose requests are watched from here on.
    mark : tuple
        Its mark, as far as it is known.
    ask : callable, optional
        Returns the mark that a file in this place has now, if the store says it of the same as ``file``.
    """

    def __init__(self, file: Any, mark: Mark, ask: Callable[[], Mark] | None) -> None:
        self.mark, self._ask = mark, ask
        self._lock = threading.Lock()
        self._new = False
        """Bytes came, and the store has not yet been asked whose they are."""
        self._found: Exception | None = None
        self.asks = self._each = False
        compares = any("IfMatch" in (getattr(file, name, None) or {}) for name in ("read_kw", "req_kw"))
        fixed = getattr(file, "version_id", None) or getattr(file, "generation", None)
        if compares or fixed:
            return
        if hasattr(file, "async_fetch_range") and hasattr(getattr(file, "session", None), "get"):
            file.session = _Session(file.session, self._look)
        elif mark[1] is not None and ask is not None:
            self.asks = True
            self._watch(file)

    def came(self) -> None:
        """Bytes were read; they may have been asked for anew."""
        self._new |= self._each

    def check(self) -> None:
        """Make sure that all bytes that came up to now are of the file that was opened; not inside HDF5.

        Raises
        ------
        AnotherError
            Or they may be of another one.
        Exception
            What the store says.
        """
        # Who comes meanwhile waits for the answer, which is about what they have read as well.
        with self._lock:
            if self._new and self._found is None and self._ask is not None:
                self._new = False
                try:
                    self._found = AnotherError() if is_another(self.mark, self._ask()) else None
                except Exception as error:
                    self._found = error
            if self._found is not None:
                raise self._found

    def _watch(self, file: Any) -> None:
        cache = getattr(file, "cache", None)
        fetch = getattr(cache, "fetcher", None)
        if fetch is None:
            self._each = True
            return

        def fetched(start: int, end: int) -> Any:
            data = fetch(start, end)
            self._new = True
            return data

        cache.fetcher = fetched  # type: ignore[union-attr]

    def _look(self, answer: Any) -> None:
        """Compare the headers of an answer with what the first one said."""
        size = self.mark[0]
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
        with contextlib.suppress(ValueError):
            size = int(total)
        now = size, _said(answer.headers)
        if is_another(self.mark, now):
            raise AnotherError
        if self.mark[1] is None:
            self.mark = now


class _Session:
    """The session of a file on a web server."""

    def __init__(self, session: Any, look: Callable[[Any], None]) -> None:
        self._session, self._look = session, look

    async def get(self, *arguments: Any, **keywords: Any) -> Any:
        """As that of ``aiohttp.ClientSession``."""
        answer = await self._session.get(*arguments, **keywords)
        if answer.status in (200, 206):
            try:
                self._look(answer)
            except AnotherError:
                answer.close()
                raise
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def _said(found: Mapping[str, Any]) -> str | None:
    return next((str(found[name]) for name in MARKS if found.get(name)), None)
