"""Groups, attributes and datasets by HDF5's own calls, with types and property lists that are made once.

A short episode is 7 groups, about 10 datasets and 25 attributes, and h5py's dictionaries look each of them
up, ask for its type and describe it anew: that took four times as long as HDF5 itself needs.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5p, h5s, h5t
from numpy.typing import NDArray

from recorder.errors import DamagedError

IN_HEADER = 64
"""Attributes that stand in a group's header; beyond HDF5's own 8 they cost a heap and an index."""

_SCALAR = h5s.create(h5s.SCALAR)
_numbers = itertools.count()

Content = str | bytes | np.generic
"""What an attribute holds: a text, a document's bytes, or a number."""


def group(parent: Any, name: bytes) -> Any:
    """A new group; ``name`` may be a path below ``parent`` of which all but the last is there."""
    return h5g.create(parent, name, unicode(), gcpl=_group_plist())


def attribute(target: Any, name: str, content: Content) -> Any:
    """A new attribute; returns it."""
    stored, given = _types(content)
    made = h5a.create(target, name.encode(), stored, _SCALAR)
    made.write(_in_memory(content), mtype=given)
    return made


def put_attribute(target: Any, name: str, content: Content) -> None:
    """As :func:`attribute`, in place of one of that name."""
    if h5a.exists(target, name.encode()):
        h5a.delete(target, name.encode())
    attribute(target, name, content)


def rewrite(made: Any, content: Content) -> None:
    """Another value for an attribute that was made for one of the same :func:`kind_of`."""
    made.write(_in_memory(content), mtype=_types(content)[1])


def remove_attribute(target: Any, name: str) -> None:
    """Remove an attribute."""
    h5a.delete(target, name.encode())


def content_of(value: Any) -> Content:
    """A plain value as what an attribute holds; integers have 64 bits."""
    content: Any = np.asarray(value)[()]
    return value if isinstance(value, str | bytes) else content


def kind_of(content: Content) -> Any:
    """What an attribute's type depends on."""
    if isinstance(content, str):
        return str
    return np.dtype((np.bytes_, len(content))) if isinstance(content, bytes) else content.dtype


def _types(content: Content) -> tuple[Any, Any]:
    """Types in the file and in memory: text is variable-length UTF-8 there, and a Python object here."""
    if isinstance(content, str):
        return _text_types()
    kind = type_of(kind_of(content))
    return kind, kind


def _in_memory(content: Content) -> NDArray[Any]:
    if not isinstance(content, str):
        return np.asarray(content)
    cell = np.empty((), object)
    cell[()] = content
    return cell


def single_chunk(
    parent: Any, path: bytes, rows: NDArray[Any], deflate: int | None, data: Any, mask: int
) -> Any:
    """A dataset of fixed size whose one chunk is ``data``, ``rows`` as its filters left it.

    HDF5 needs no index for a chunk that stays the only one. ``deflate`` is the level, None for no filter.
    """
    plist, space = _chunk_plist(deflate, rows.shape), _space(rows.shape)
    dataset = h5d.create(parent, path, type_of(rows.dtype), space, plist, unicode())
    dataset.write_direct_chunk((0,) * rows.ndim, data, mask)
    return dataset


def rewrite_chunk(dataset: Any, dimensions: int, data: Any, mask: int) -> None:
    """Other bytes for a dataset of one chunk."""
    dataset.write_direct_chunk((0,) * dimensions, data, mask)
    dataset.flush()


def growing(
    parent: Any,
    path: bytes,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    chunk: tuple[int, ...],
    keywords: Mapping[str, Any],
) -> Any:
    """A dataset of rows of this shape, none yet, that grows by chunks; ``keywords`` as h5py names filters."""
    if isinstance(keywords.get("compression"), int):
        # Filters of plugins may add to their options what they find out about the dataset, each time.
        group, name = h5py.Group(parent), path.decode()
        return group.create_dataset(
            name, (0, *shape), dtype, maxshape=(None, *shape), chunks=chunk, **keywords
        ).id
    space = h5s.create_simple((0, *shape), (h5s.UNLIMITED, *shape))
    plist = _growing_plist(dtype, chunk, tuple(sorted(keywords.items())))
    return h5d.create(parent, path, type_of(dtype), space, plist, unicode())


def fixed(
    parent: Any,
    name: bytes,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    chunk: tuple[int, ...],
    keywords: Mapping[str, Any],
) -> Any:
    """A dataset of this shape in chunks, which grows only along axes without any length."""
    most = tuple(n or None for n in shape)
    if isinstance(keywords.get("compression"), int):
        group = h5py.Group(parent)
        return group.create_dataset(name.decode(), shape, dtype, maxshape=most, chunks=chunk, **keywords).id
    space = (
        _space(shape)
        if 0 not in shape
        else h5s.create_simple(shape, tuple(n or h5s.UNLIMITED for n in shape))
    )
    plist = _growing_plist(dtype, chunk, tuple(sorted(keywords.items())))
    return h5d.create(parent, name, type_of(dtype), space, plist, unicode())


@lru_cache(maxsize=256)
def _growing_plist(
    dtype: np.dtype[Any], chunk: tuple[int, ...], keywords: tuple[tuple[str, Any], ...]
) -> Any:
    # What h5py makes of the keywords, taken from a dataset that it made. Under a name of its own: of two open
    # files of one name HDF5 refuses the second, and writers of other threads may be here as well.
    name = f"flightrec-growing-{next(_numbers)}"
    with h5py.File(name, "w", driver="core", backing_store=False) as file:
        made = file.create_dataset(
            "made", (0, *chunk[1:]), dtype, maxshape=(None, *chunk[1:]), chunks=chunk, **dict(keywords)
        )
        return made.id.get_create_plist()


@lru_cache(maxsize=128)
def type_of(dtype: np.dtype[Any]) -> Any:
    """HDF5's type, as h5py chooses it."""
    return h5t.py_create(dtype, logical=True)


def text_type() -> Any:
    """The type of texts in a file."""
    return _text_types()[0]


@lru_cache(maxsize=1)
def _text_types() -> tuple[Any, Any]:
    kind = h5py.string_dtype()
    return h5t.py_create(kind, logical=True), h5t.py_create(kind)


@lru_cache(maxsize=1)
def unicode() -> Any:
    """How links are made: their names are UTF-8."""
    plist = h5p.create(h5p.LINK_CREATE)
    plist.set_char_encoding(h5t.CSET_UTF8)
    return plist


@lru_cache(maxsize=1)
def _group_plist() -> Any:
    plist = h5p.create(h5p.GROUP_CREATE)
    plist.set_attr_phase_change(IN_HEADER, 0)
    plist.set_obj_track_times(False)
    return plist


@lru_cache(maxsize=256)
def _space(shape: tuple[int, ...]) -> Any:
    return h5s.create_simple(shape)


@lru_cache(maxsize=256)
def _chunk_plist(deflate: int | None, shape: tuple[int, ...]) -> Any:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_obj_track_times(False)
    # Nothing is filled in: all of it is written at once.
    plist.set_fill_time(h5d.FILL_TIME_NEVER)
    plist.set_chunk(shape)
    if deflate is not None:
        plist.set_shuffle()
        plist.set_deflate(deflate)
    return plist


def copy_link(source: Any, name: bytes, target: Any, new: bytes) -> None:
    """Make a soft or external link that is as another one, wherever that leads: it is not followed.

    Raises
    ------
    DamagedError
        A link of another kind.
    """
    kind, value = source.links.get_info(name).type, source.links.get_val(name)
    if kind == h5l.TYPE_SOFT:
        target.links.create_soft(new, value, lcpl=unicode())
    elif kind == h5l.TYPE_EXTERNAL:
        target.links.create_external(new, *value, lcpl=unicode())
    else:
        raise DamagedError(f"{new.decode(errors='replace')}: a link of a kind that is not known")
