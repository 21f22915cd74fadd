"""The object headers of an episode, as HDF5 would write them, with what differs between episodes left open.

HDF5 file format specification, version 3.0, section IV.A: headers of version 2, each one chunk and sealed by
a checksum. A frame is all headers of a tree, one after the other; episodes of the same form share it.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from h5py import h5f, h5o

from recorder.h5 import make
from recorder.h5.memory import in_memory

Key = str | bytes
Attributes = tuple[Any, ...]
"""Name, kind, name, kind …, kinds as :func:`recorder.h5.make.kind_of` tells them."""

_DATASPACE, _LINK_INFO, _DATATYPE, _FILL, _LINK, _LAYOUT = 1, 2, 3, 5, 6, 8
_GROUP_INFO, _FILTERS, _ATTRIBUTE, _ATTRIBUTE_INFO, _REFERENCES = 10, 11, 12, 21, 22
_CONSTANT, _NOT_SHARED = 1, 4
_NOWHERE = b"\xff" * 8
_SHUFFLE, _DEFLATE, _OPTIONAL = 2, 1, 1
_COMPACT_LINKS = 8
_SCALAR = b"\x02\0\0\0"
_SINGLE_CHUNK = 1


class GroupForm(NamedTuple):
    """A group below the root of the tree, which is the one without a name."""

    name: str
    attributes: Attributes


class DatasetForm(NamedTuple):
    """A dataset of one chunk; ``width`` is the one of its chunk's dimensions in the file."""

    path: str
    dtype: np.dtype[Any]
    row: tuple[int, ...]
    width: str
    deflate: int | None
    attributes: Attributes


class _Address(str):
    """A piece of a header that is the address of the object of this path."""

    __slots__ = ()


class _Open(str):
    """A piece of a header that differs; the text is ``struct``'s code of it."""

    __slots__ = ()


_Pieces = list[Any]
"""Bytes, and what is left open. Nobody changes such a list: it may be kept."""


class Frame:
    """The headers of a tree. Its first one is the root's.

    Attributes
    ----------
    size : int
        Bytes of all of them.
    lengths : bytes
        Their lengths, uint32 each.
    """

    def __init__(self, groups: tuple[GroupForm, ...], datasets: tuple[DatasetForm, ...]) -> None:
        below: dict[str, list[str]] = {group.name: [] for group in groups}
        below[""] = [group.name for group in groups if group.name]
        for dataset in datasets:
            below[dataset.path.partition("/")[0]].append(dataset.path)
        headers = [(group.name, _group(group, tuple(below[group.name]))) for group in groups]
        headers += [(dataset.path, _dataset(dataset)) for dataset in datasets]
        sizes = [_size(pieces) for _, pieces in headers]
        self.size, self.lengths = sum(sizes), struct.pack(f"<{len(sizes)}I", *sizes)
        starts = itertools.accumulate(sizes, initial=0)
        places = {name: start for (name, _), start in zip(headers, starts, strict=False)}
        self._arguments: list[Any] = []
        self._open: list[int] = []
        self._addresses: list[tuple[int, int]] = []
        codes = [
            self._add(piece, places)
            for piece in _merged(itertools.chain.from_iterable(pieces for _, pieces in headers))
        ]
        self._struct = struct.Struct("<" + "".join(codes))

    def filled(self, values: list[Any], start: int) -> bytearray:
        """The headers as they will stand from the address ``start`` on, but for their checksums.

        ``values`` is what was left open, in this order: of each group its attributes; of each dataset
        rows, rows, rows, length of the chunk and its mask if it is filtered, its address, its attributes. A
        text is three values: length, address, number; any other attribute its bytes.
        """
        arguments = self._arguments.copy()
        for place, value in zip(self._open, values, strict=True):
            arguments[place] = value
        for place, offset in self._addresses:
            arguments[place] = start + offset
        out = bytearray(self.size)
        self._struct.pack_into(out, 0, *arguments)
        return out

    def _add(self, piece: Any, places: dict[str, int]) -> str:
        place = len(self._arguments)
        self._arguments.append(piece)
        if isinstance(piece, _Address):
            self._addresses.append((place, places[piece]))
            return "Q"
        if isinstance(piece, _Open):
            self._open.append(place)
            return str(piece)
        return f"{len(piece)}s"


@lru_cache(maxsize=64)
def frame_of(groups: tuple[GroupForm, ...], datasets: tuple[DatasetForm, ...]) -> Frame:
    """The frame of these forms."""
    return Frame(groups, datasets)


def width_of(shape: tuple[int, ...], itemsize: int) -> str:
    """``struct``'s code for the dimensions of a chunk, all of which have the same width."""
    most = max(itemsize, *shape)
    return "B" if most < 1 << 8 else "H" if most < 1 << 16 else "I"


@lru_cache(maxsize=256)
def _group(group: GroupForm, paths: tuple[str, ...]) -> _Pieces:
    pieces = _message(_LINK_INFO, [b"\0\0" + 2 * _NOWHERE])
    limits = struct.pack("<BBHH", 0, 1, len(paths), 0) if len(paths) > _COMPACT_LINKS else b"\0\0"
    pieces += _message(_GROUP_INFO, [limits], _CONSTANT)
    pieces += _attributes(group.attributes)
    if not group.name:
        # Nothing leads to it until HDF5 makes its link, and then this count, being one, goes.
        pieces += _message(_REFERENCES, [b"\0\0\0\0\0"])
    for path in paths:
        name = path.removeprefix(group.name + "/").encode()
        pieces += _message(_LINK, [struct.pack("<BBBB", 1, 0x10, 1, len(name)) + name, _Address(path)])
    return _header(pieces, struct.pack("<HH", make.IN_HEADER, 0))


@lru_cache(maxsize=256)
def _dataset(form: DatasetForm) -> _Pieces:
    rest, rank = form.row, 1 + len(form.row)
    others = struct.pack(f"<{len(rest)}Q", *rest)
    pieces = _message(_DATASPACE, [bytes([2, rank, 1, 1]), _Open("Q"), others, _Open("Q"), others])
    pieces += _message(_DATATYPE, [type_message(form.dtype)], _CONSTANT)
    # Space comes with the chunk, and nothing is filled in.
    pieces += _message(_FILL, [b"\x03\x07"], _CONSTANT)
    width, size = form.width, form.dtype.itemsize
    chunk = [_Open(width), struct.pack(f"<{rank}{width}", *rest, size) + bytes([_SINGLE_CHUNK])]
    filtered = form.deflate is not None
    if filtered:
        filters = ((_SHUFFLE, size), (_DEFLATE, form.deflate))
        packed = b"".join(struct.pack("<HHHI", code, _OPTIONAL, 1, value) for code, value in filters)
        pieces += _message(_FILTERS, [b"\x02\x02" + packed], _CONSTANT)
        chunk += [_Open("Q"), _Open("I")]
    head = bytes([4, 2, 2 if filtered else 0, rank + 1, struct.calcsize(width)])
    pieces += _message(_LAYOUT, [head, *chunk, _Open("Q")])
    return _header(pieces + _attributes(form.attributes), b"")


def _attributes(attributes: Attributes) -> _Pieces:
    if not attributes:
        return []
    pieces = _message(_ATTRIBUTE_INFO, [b"\0\0" + 2 * _NOWHERE], _NOT_SHARED)
    for key, kind in zip(attributes[::2], attributes[1::2], strict=True):
        pieces += _attribute(key, kind)
    return pieces


@lru_cache(maxsize=256)
def _attribute(key: str, kind: Any) -> _Pieces:
    name, described = key.encode() + b"\0", type_message(kind)
    head = struct.pack("<BBHHHB", 3, 0, len(name), len(described), len(_SCALAR), 0)
    value = [_Open(code) for code in "IQI"] if kind is str else [_Open(f"{kind.itemsize}s")]
    return _message(_ATTRIBUTE, [head + name + described + _SCALAR, *value])


def _message(code: int, content: _Pieces, flags: int = 0) -> _Pieces:
    return [struct.pack("<BHB", code, _size(content), flags), *content]


def _header(messages: _Pieces, phases: bytes) -> _Pieces:
    size = _size(messages)
    exponent = 0 if size < 1 << 8 else 1 if size < 1 << 16 else 2
    flags = exponent | (0x10 if phases else 0)
    head = b"OHDR" + bytes([2, flags]) + phases + size.to_bytes(1 << exponent, "little")
    return list(_merged([head, *messages, b"\0\0\0\0"]))


def _size(pieces: _Pieces) -> int:
    return sum(_bytes_of(piece) for piece in pieces)


def _bytes_of(piece: Any) -> int:
    if isinstance(piece, bytes):
        return len(piece)
    return 8 if isinstance(piece, _Address) else struct.calcsize("<" + piece)


def _merged(pieces: Iterable[Any]) -> Iterator[Any]:
    constant = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            constant += piece
            continue
        if constant:
            yield constant
        constant = b""
        yield piece
    yield constant


@lru_cache(maxsize=128)
def type_message(kind: Any) -> bytes:
    """HDF5's own description of a type, from a file in memory that has nothing but it."""
    if kind is not str and kind.kind == "S" and kind.itemsize > 1 and not kind.metadata:
        # Documents, nearly each of another length, which is the last thing that is said of them.
        return type_message(np.dtype("S1"))[:-4] + struct.pack("<I", kind.itemsize)
    described = make.text_type() if kind is str else make.type_of(kind)
    file = in_memory()
    try:
        named = described.copy()
        named.commit(file, b"type")
        h5f.flush(file)
        image, start = file.get_file_image(), h5o.get_info(named).addr
    finally:
        file.close()
    flags = image[start + 5]
    # Times, if it has any, and the length of its chunk come before its first message, which is the type.
    at = start + 6 + (16 if flags & 0x20 else 0) + (1 << (flags & 3))
    code, size, _ = struct.unpack_from("<BHB", image, at)
    if code != _DATATYPE:
        raise RuntimeError("HDF5 describes a type in a way that is not known")
    return bytes(image[at + 4 : at + 4 + size])
