"""Attributes and links of groups, read past HDF5, which takes its time where files are many and small.

HDF5 file format specification, version 3.0: superblock (II.A), object headers of version 2 (IV.A) and the
global heap (III.E). Only what a recorder writes is known here, and every checksum is compared; all else is
:class:`UnfamiliarError`, and for HDF5 to read.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import Any

import numpy as np

from recorder.h5.frame import type_message
from recorder.h5.reading.dense import Dense
from recorder.h5.reading.pieces import UNDEFINED, UnfamiliarError, checksum, sealed

_SUPERBLOCK, _SIGNATURE = 48, b"\x89HDF\r\n\x1a\n"
_HEADER_GUESS, _MOST = 1536, 1 << 24
_LINK_INFO, _LINK, _ATTRIBUTE, _CONTINUED, _OLD_GROUP, _ATTRIBUTE_INFO = 2, 6, 12, 16, 17, 21
_KNOWN = frozenset({_LINK_INFO, _LINK, _ATTRIBUTE, _OLD_GROUP, _ATTRIBUTE_INFO})
_MESSAGE = struct.Struct("<BHB")
_MOST_CHUNKS = 1000
_SHARED, _TIMES, _PHASES, _ORDERED = 2, 0x20, 0x10, 4
_SCALAR = b"\x02\0\0\0"
_TEXT = struct.Struct("<IQI")
_FIXED_TEXT, _NULL_PADDED = 3, 1
_CODES: dict[str, Callable[[bytes], Any]] = {
    "i8": lambda data: struct.unpack("<q", data)[0],
    "f8": lambda data: struct.unpack("<d", data)[0],
    "?": lambda data: {b"\0": False, b"\1": True}[data],
}
_Attribute = tuple[bytes, bytes]
"""How its values are described, and the value's bytes."""


class Headers:
    """The groups of an open file.

    Parameters
    ----------
    descriptor : int
        Of the file; read by position, and left open.

    Raises
    ------
    UnfamiliarError
        It is no file that a recorder has closed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._heaps: dict[int, dict[int, bytes]] = {}
        block = os.pread(descriptor, _SUPERBLOCK, 0)
        # Version 3, addresses and lengths of eight bytes, nobody at work, and nothing before it.
        if len(block) < _SUPERBLOCK or block[:12] != _SIGNATURE + b"\x03\x08\x08\0":
            raise UnfamiliarError("superblock")
        base, _, end, self.root = struct.unpack_from("<QQQQ", block, 12)
        if base or end > os.fstat(descriptor).st_size or not sealed(block):
            raise UnfamiliarError("superblock")

    def group(self, address: int) -> Group:
        """The group whose object header stands there."""
        return Group(self, address)

    def read(self, address: int, count: int) -> bytes:
        """Bytes of the file, all of them."""
        if count > _MOST or address >= UNDEFINED:
            raise UnfamiliarError("a length")
        found = os.pread(self._descriptor, count, address)
        if len(found) != count:
            raise UnfamiliarError("beyond the end")
        return found

    def messages(self, address: int) -> Iterator[tuple[int, int, bytes]]:
        """Kind, flags and content of each message of an object header that is of a kind known here."""
        block = os.pread(self._descriptor, _HEADER_GUESS, address)
        if block[:5] != b"OHDR\x02":
            raise UnfamiliarError("no object header")
        flags = block[5]
        start = 6 + (16 if flags & _TIMES else 0) + (4 if flags & _PHASES else 0)
        width = 1 << (flags & 3)
        end = start + width + int.from_bytes(block[start : start + width], "little")
        block = block[: end + 4] if end + 4 <= len(block) else self.read(address, end + 4)
        chunks, total = [(block, start + width, end)], 0
        for block, at, end in chunks:  # which grows
            if not sealed(block):
                raise UnfamiliarError("a checksum")
            start = at
            while start + 4 <= end:
                kind, size, shared = _MESSAGE.unpack_from(block, start)
                start += 6 if flags & _ORDERED else 4
                if start + size > end:
                    raise UnfamiliarError("a message")
                if kind in _KNOWN:
                    yield kind, shared, block[start : start + size]
                elif kind == _CONTINUED:
                    place, length = struct.unpack_from("<QQ", block, start)
                    more = self.read(place, length)
                    total += length
                    if total > _MOST or len(chunks) > _MOST_CHUNKS or more[:4] != b"OCHK":
                        raise UnfamiliarError("a header")
                    chunks.append((more, 4, length - 4))
                start += size

    def text(self, place: bytes) -> str:
        """The text whose length, heap and number these 16 bytes are."""
        length, address, number = _TEXT.unpack(place)
        if not length:
            return ""
        if address not in self._heaps:
            self._heaps[address] = self._heap(address)
        data = self._heaps[address].get(number)
        if data is None or len(data) < length or b"\0" in data[:length]:
            raise UnfamiliarError("a text")
        return data[:length].decode("utf-8")

    def _heap(self, address: int) -> dict[int, bytes]:
        block = self.read(address, 16)
        (size,) = struct.unpack_from("<Q", block, 8)
        if block[:5] != b"GCOL\x01":
            raise UnfamiliarError("no heap")
        block, found, at = self.read(address, size), {}, 16
        while at + 16 <= size:
            number, length = struct.unpack_from("<H6xQ", block, at)
            if not number:
                break
            if length > size - at - 16:
                raise UnfamiliarError("a heap")
            found[number] = block[at + 16 : at + 16 + length]
            at += 16 + (length + 7 & ~7)
        return found


class Group:
    """A group's attributes and links, by name; soft and external links are :class:`UnfamiliarError`."""

    def __init__(self, file: Headers, address: int) -> None:
        self._file = file
        self._attributes: dict[bytes, _Attribute] = {}
        self.links: dict[str, int] = {}
        self._long: set[bytes] = set()
        grouped = False
        for kind, flags, content in file.messages(address):
            if kind == _ATTRIBUTE:
                self._attribute(content, flags)
            elif kind == _LINK:
                self._link(content, flags)
            elif kind == _LINK_INFO:
                grouped = True
                for _, link in self._elsewhere(content, 8):
                    self._link(link or b"\0\0", 0)
            elif kind == _ATTRIBUTE_INFO:
                for checked, attribute in self._elsewhere(content, 2):
                    if attribute is None:
                        self._long.add(checked)
                    else:
                        self._attribute(attribute, 0)
            else:
                raise UnfamiliarError("a group of old")
        if not grouped:
            raise UnfamiliarError("no group")

    def has(self, name: bytes) -> bool:
        """Whether there is an attribute of this name, whatever it holds."""
        return name in self._attributes or (bool(self._long) and checksum(name) in self._long)

    def get(self, name: bytes) -> Any:
        """The attribute of this name: int, float, bool or str; None where there is none."""
        found = self._attributes.get(name)
        if found is None:
            if self.has(name):
                raise UnfamiliarError("a long value")
            return None
        kind, data = found
        code = _kinds().get(kind)
        if code == "text":
            return self._file.text(data)
        if code is not None:
            return _CODES[code](data)
        # Texts of a fixed length, which is the last thing that is said of them.
        padded = len(kind) == 8 and kind[0] & 15 == _FIXED_TEXT and kind[1] & 15 == _NULL_PADDED
        if padded and int.from_bytes(kind[4:8], "little") == len(data):
            return data.rstrip(b"\0").decode("utf-8")
        raise UnfamiliarError("a type")

    def some(self, names: Collection[str]) -> dict[str, Any]:
        """Attributes by name."""
        return {name: self.get(name.encode()) for name in names}

    def _elsewhere(self, info: bytes, order: int) -> Any:
        """What stands in a heap, where it is too much for the header."""
        at = 2 + (order if info[1] & 1 else 0)
        heap, tree = struct.unpack_from("<QQ", info, at)
        return () if heap == UNDEFINED else Dense(self._file.read, heap, tree).objects()

    def _attribute(self, message: bytes, flags: int) -> None:
        version, shared, name, kind, space = struct.unpack_from("<BBHHH", message)
        if flags & _SHARED or shared or version != 3:
            raise UnfamiliarError("an attribute")
        at = 9 + name
        # One that has dimensions is there, and of a type that nobody knows.
        scalar = message[at + kind : at + kind + space] == _SCALAR
        described = message[at : at + kind] if scalar else b""
        self._attributes[message[9 : at - 1]] = described, message[at + kind + space :]

    def _link(self, message: bytes, flags: int) -> None:
        version, told = message[0], message[1]
        if flags & _SHARED or version != 1 or told & 8:
            raise UnfamiliarError("a link")
        at = 2 + (8 if told & 4 else 0) + (1 if told & 0x10 else 0)
        width = 1 << (told & 3)
        length = int.from_bytes(message[at : at + width], "little")
        name = message[at + width : at + width + length].decode("utf-8")
        if len(message) < at + width + length + 8 or not name or "/" in name:
            raise UnfamiliarError("a link")
        (self.links[name],) = struct.unpack_from("<Q", message, at + width + length)


@cache
def _kinds() -> dict[bytes, str]:
    """HDF5's own descriptions of the types that recorders write."""
    found = {type_message(np.dtype(code)): code for code in ("i8", "f8", "?")}
    return found | {type_message(str): "text"}
