"""A recording's file put together from finished ones: stored chunks go over as they are, or filtered anew.

The file is written beside its name and is of format 1.10; nothing of what its sources left unused is in it.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from h5py import h5l, h5o

from recorder.errors import OptionError
from recorder.format.layout import CHECKPOINTS, EPISODES, MERGED, RANDOM_STATES, SPLIT
from recorder.h5 import make
from recorder.h5.attached import Attached
from recorder.h5.draft import draft_file, failed
from recorder.h5.keywords import filter_keywords, require_level
from recorder.h5.reading.budget import check_chunk
from recorder.h5.reading.guard import damage, links, open_child
from recorder.h5.reading.rows import read_rows
from recorder.h5.scales import is_scale, put_scales, scaling
from recorder.h5.skeleton import put_text
from recorder.h5.tree import get_document, put_document

_LEAST_PAGE, _MOST_PAGE, _PAGES = 1 << 14, 1 << 20, 64
"""In a file that is laid out for range reads HDF5 keeps its own structures in pages apart from data: a reader
far away gets them with a few requests. Pages are filled up, so those of small files are small."""
_BLOCK_BYTES = 16 << 20
_OURS = (EPISODES, CHECKPOINTS, RANDOM_STATES)


def page_of(nbytes: int) -> int:
    """Bytes of a page that suit a file of about this size."""
    page = _LEAST_PAGE
    while page < _MOST_PAGE and page * _PAGES < nbytes:
        page *= 2
    return page


def chosen_filter(compression: str | None, level: int | None) -> dict[str, Any] | None:
    """Keywords of the filter that every dataset gets; None for the chunks as they are, ``"keep"``.

    Raises
    ------
    OptionError
        A filter that this HDF5 cannot write, or a level that would change nothing.
    """
    require_level(compression, level)
    return None if compression == "keep" else filter_keywords(compression, level)


class Assembly:
    """A file that is being put together; a context manager, after which it is closed.

    Parameters
    ----------
    path : Path
        Where it is written; nothing may be there.
    compression : str or None
        Filter for every chunked dataset, or ``"keep"``.
    level : int or None
    cloud : int
        Lay it out for range reads, in pages of so many bytes; 0 for not.

    Raises
    ------
    OptionError
        A filter that this HDF5 cannot write, or a level that it has not.
    FileExistsError
        There is something at ``path``.
    WriteError
        Of every method, and at the end: there is no room for it on the disk.
    """

    def __init__(
        self, path: Path, *, compression: str | None = "keep", level: int | None = None, cloud: int = 0
    ) -> None:
        self._keywords = chosen_filter(compression, level)
        strategy = {"fs_strategy": "page", "fs_page_size": cloud} if cloud else {}
        self._draft = draft_file(path, **strategy)
        self._chosen = (compression, level)
        self._scaled = False

    def __enter__(self) -> Assembly:
        self.file, self._step = self._draft.__enter__()
        self._attached = Attached(self.file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draft.__exit__(kind, error, trace)

    def begin(self, source: h5py.File) -> None:
        """Root attributes, and all groups but those of episodes and checkpoints, which are empty."""
        put_attributes(source, self.file)
        for name, address in links(source):
            if address is None:
                self._link(source, name, self.file, name)
                continue
            if name in _OURS:
                continue
            if is_scale(source, name):
                # Of dense streams: these are made anew.
                self._scaled = True
                continue
            self._copy(source, name, self.file, name)
        for name in (EPISODES, CHECKPOINTS):
            put_attributes(source[name], self.file.create_group(name))
            for inner, address in links(source[name]):
                if address is None:
                    self._link(source[name], inner, self.file[name], inner)
        compression, level = self._chosen
        if compression != "keep":
            self.file.attrs["compression"] = compression or "none"
            self.file.attrs.pop("compression_level", None)
            if level is not None:
                self.file.attrs["compression_level"] = np.int64(level)

    def add(self, source: h5py.File, path: str, name: str, **attributes: Any) -> None:
        """Copy the object at ``path`` to ``name``, with these attributes in place of its own."""
        parent, _, child = path.rpartition("/")
        target, _, new = name.rpartition("/")
        self._copy(source[parent], child, self.file.require_group(target), new)
        for key, value in attributes.items():
            self.file[name].attrs[key] = value

    def checkpoints(self, source: h5py.File) -> dict[str, str]:
        """All checkpoints with the states of random generators that go with them; names stay unique.

        Returns the present name of each by its former one.
        """
        named = {}
        points, states = source.get(CHECKPOINTS), source.get(RANDOM_STATES)
        for name, address in links(points) if points is not None else ():
            if address is None:
                continue
            new, number, target = name, 1, self.file[CHECKPOINTS]
            while target.id.links.exists(new.encode()):
                number += 1
                new = f"{name}_{number}"
            self._copy(points, name, self.file[CHECKPOINTS], new)
            named[name] = new
            document = None if states is None else get_document(states, name)
            if document is not None:
                put_document(self.file.require_group(RANDOM_STATES), new, document)
        return named

    def origin(self, name: str, value: Any) -> None:
        """The root document that says what this was put together from, in place of those of its sources."""
        for former in (MERGED, SPLIT):
            self.file.attrs.pop(former, None)
            if self.file.id.links.exists(former.encode()):
                del self.file[former]
        put_document(self.file, name, value)

    def scales(self, *, wanted: bool) -> None:
        """Dimension scales, once all is there: where they are wanted, or the source has them."""
        if wanted or self._scaled or self._attached.dense:
            put_scales(self.file)
        self._attached.put()

    def put(self, texts: Mapping[str, str], numbers: Mapping[str, int]) -> None:
        """Root attributes in place of those of their names; numbers that are 0 are left out."""
        for name, text in texts.items():
            put_text(self.file, name, text)
        for name, number in numbers.items():
            self.file.attrs.pop(name, None)
            if number:
                self.file.attrs[name] = np.int64(number)

    def _copy(self, parent: Any, name: str, target: h5py.Group, new: str) -> None:
        with damage(f"{parent.name.rstrip('/')}/{name}"):
            source = h5o.open(parent.id, name.encode())
            if self._keywords is None:
                h5o.copy(parent.id, name.encode(), target.id, new.encode())
            else:
                self._rewrite(open_child(parent, name.encode(), name), target, new)
            self._step()
            self._attached.take(source, f"{target.name.rstrip('/')}/{new}")

    def _link(self, parent: Any, name: str, target: h5py.Group, new: str) -> None:
        make.copy_link(parent.id, name.encode(), target.id, new.encode())

    def _rewrite(self, item: Any, target: h5py.Group, name: str) -> None:
        if isinstance(item, h5py.Group):
            made = target.create_group(name)
            for child, address in links(item):
                if address is None:
                    self._link(item, child, made, child)
                else:
                    self._rewrite(open_child(item, child.encode(), child), made, child)
        elif item.chunks is None:
            h5o.copy(item.parent.id, item.name.rpartition("/")[2].encode(), target.id, name.encode())
            return
        else:
            made = self._refiltered(item, target, name)
        put_attributes(item, made)

    def _refiltered(self, item: h5py.Dataset, target: h5py.Group, name: str) -> h5py.Dataset:
        check_chunk(item)
        assert self._keywords is not None
        try:
            made = target.create_dataset(
                name, item.shape, item.dtype, maxshape=item.maxshape, chunks=item.chunks, **self._keywords
            )
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            raise OptionError(
                f"compression={self._chosen[0]!r} cannot be had for {item.name}: {error}"
            ) from error
        rows = max(1, _BLOCK_BYTES // max(1, item.dtype.itemsize * int(np.prod(item.shape[1:])) or 1))
        rows = -(-rows // item.chunks[0]) * item.chunks[0]
        for start in range(0, item.shape[0], rows):
            stop = min(start + rows, item.shape[0])
            made[start:stop] = read_rows(item, start, stop)
            self._step()
        return made


def soft_links(file: h5py.File) -> Iterator[tuple[str, str]]:
    """Soft links that stand outside episodes, and the paths that they lead to; they are not followed.

    Raises
    ------
    DamagedError
        A group that cannot be listed.
    """
    waiting, seen = [("", file)], set()
    while waiting:
        path, group = waiting.pop()
        for name, address in links(group):
            place = f"{path}/{name}"
            if address is None:
                if group.id.links.get_info(name.encode()).type == h5l.TYPE_SOFT:
                    target = group.id.links.get_val(name.encode()).decode("utf-8", "surrogateescape")
                    yield place, posixpath.normpath(posixpath.join(path or "/", target))
            elif path != f"/{EPISODES}" and address not in seen:
                seen.add(address)
                with damage(place):
                    item = open_child(group, name.encode(), place)
                if isinstance(item, h5py.Group):
                    waiting.append((place, item))


def put_attributes(source: Any, target: Any) -> None:
    """Copy attributes as they are stored, but for those of scales."""
    left = scaling(source.id) if isinstance(source, h5py.Dataset) else []
    for name in source.attrs:
        if name.encode("utf-8", "surrogateescape") not in left:
            stored = source.attrs.get_id(name)
            target.attrs.create(name, source.attrs[name], shape=stored.shape, dtype=stored.dtype)


def settle(draft: Path, path: Path, *, replace: bool) -> None:
    """Have a draft on the disk, and then in place.

    Raises
    ------
    FileExistsError
        Not to replace anything, and something is there by now.
    WriteError
        The disk is full, or does not take it.
    """
    try:
        _settle(draft, path, replace=replace)
    except FileExistsError:
        raise
    except OSError as error:
        raise failed(draft, error) from error


def _settle(draft: Path, path: Path, *, replace: bool) -> None:
    descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not replace:
        try:
            os.link(draft, path)
        except OSError as error:
            # Without hard links: here another's may still come in between.
            if os.path.lexists(path):
                raise FileExistsError(f"{path} exists already") from error
        else:
            draft.unlink()
            return
    else:
        shutil.copymode(path, draft)
    draft.replace(path)
