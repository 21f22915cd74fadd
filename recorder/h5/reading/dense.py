"""The attributes or links of a group that are too many for its header, read past HDF5.

They are objects of a fractal heap (HDF5 file format specification, version 3.0, section III.G), found through
a B-tree of version 2 (III.A.2) of one level or two.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from recorder.h5.reading.pieces import UNDEFINED, UnfamiliarError, checksum, sealed

_Read = Callable[[int, int], bytes]
_HEAP = struct.Struct("<4sBHHBIQQQQQQQQQQQQHQQHHQH")
_TREE = struct.Struct("<4sBBIHHBBQHQ")
_CHECKSUMMED, _HUGE = 2, 0x10
_LINKS, _ATTRIBUTES = 5, 8
_MOST_RECORDS, _MOST_BYTES = 1 << 20, 1 << 26


class Dense:
    """A heap and the tree of what is in it.

    Parameters
    ----------
    read : callable
        Returns so many bytes from an address.
    heap, tree : int
        Where they stand.

    Raises
    ------
    UnfamiliarError
    """

    def __init__(self, read: _Read, heap: int, tree: int) -> None:
        self._read, self._heap, self._tree = read, heap, tree
        block = read(heap, _HEAP.size + 4)
        found = _HEAP.unpack_from(block)
        magic, version, _, filters, self._flags, most, *_ = found
        width, start, largest, bits, _, root, rows = found[-7:]
        if magic != b"FRHP" or version or filters or not sealed(block) or not start or not width:
            raise UnfamiliarError("a heap")
        self._start, self._width, self._largest = start, width, largest
        self._offset_bytes = -(-bits // 8)
        self._length_bytes = -(-min(largest, most).bit_length() // 8)
        self._blocks = self._places(root, rows)
        self._loaded: dict[int, bytes] = {}

    def objects(self) -> Iterator[tuple[bytes, bytes | None]]:
        """All objects in no order, each behind the checksum of its name; None for one that is very long."""
        total = 0
        for checked, record in self._records():
            found = None if record[0] == _HUGE else self._object(record)
            total += len(found or b"")
            if total > _MOST_BYTES:  # a few bytes may be said to be many objects
                raise UnfamiliarError("objects without end")
            yield checked, found

    def _places(self, root: int, rows: int) -> list[tuple[int, int, int]]:
        """Offset, size and address of each block of the heap."""
        if root == UNDEFINED:
            return []
        if not rows:
            return [(0, self._start, root)]
        count = rows * self._width
        head = 13 + self._offset_bytes
        block = self._read(root, head + 8 * count + 4)
        # Blocks of blocks come with rows of blocks that are larger than any.
        if block[:5] != b"FHIB\0" or self._size(rows - 1) > self._largest or not sealed(block):
            raise UnfamiliarError("a heap's block")
        found, offset = [], 0
        for row, address in zip(
            (row for row in range(rows) for _ in range(self._width)),
            struct.unpack_from(f"<{count}Q", block, head),
            strict=True,
        ):
            size = self._size(row)
            if address != UNDEFINED:
                found.append((offset, size, address))
            offset += size
        return found

    def _size(self, row: int) -> int:
        return int(self._start) << max(0, row - 1)

    def _object(self, record: bytes) -> bytes:
        if record[0]:
            raise UnfamiliarError("an object that is no usual one")
        split = 1 + self._offset_bytes
        offset = int.from_bytes(record[1:split], "little")
        length = int.from_bytes(record[split : split + self._length_bytes], "little")
        for start, size, address in self._blocks:
            if start <= offset < start + size:
                if address not in self._loaded:
                    self._loaded[address] = self._block(start, size, address)
                found = self._loaded[address][offset - start : offset - start + length]
                if len(found) == length:
                    return found
        raise UnfamiliarError("an object without a place")

    def _block(self, start: int, size: int, address: int) -> bytes:
        block, head = self._read(address, size), 13 + self._offset_bytes
        at = int.from_bytes(block[13:head], "little")
        if block[:5] != b"FHDB\0" or at != start or block[5:13] != struct.pack("<Q", self._heap):
            raise UnfamiliarError("a heap's block")
        blank = block[:head] + bytes(4) + block[head + 4 :]
        if self._flags & _CHECKSUMMED and checksum(blank) != block[head : head + 4]:
            raise UnfamiliarError("a checksum")
        return block

    def _records(self) -> Iterator[tuple[bytes, bytes]]:
        block = self._read(self._tree, _TREE.size + 4)
        magic, version, kind, node, size, depth, _, _, root, count, total = _TREE.unpack_from(block)
        # Behind a name's hash in that of links, and before it in that of attributes, is where the object is.
        at = 4 if kind == _LINKS else 0
        if magic != b"BTHD" or version or kind not in (_LINKS, _ATTRIBUTES) or not sealed(block):
            raise UnfamiliarError("a tree")
        if depth > 1 or total > _MOST_RECORDS or node < 16 or not size:
            raise UnfamiliarError("a tree of many levels")
        found = [] if not count else self._node(root, node, size, count, kind, depth)
        # Bit 1 of an attribute's flags: it stands in a heap of the whole file's.
        if len(found) != total or (kind == _ATTRIBUTES and any(record[8] & 2 for record in found)):
            raise UnfamiliarError("a tree")
        return ((record[:4] if at else record[-4:], record[at:]) for record in found)

    def _node(self, address: int, node: int, size: int, count: int, kind: int, depth: int) -> list[bytes]:
        block = self._read(address, node)
        most = (node - 10) // size
        # How many records a leaf has is told in as few bytes as hold the most of them.
        pointer = 8 + -(-most.bit_length() // 8)
        end = 6 + count * size + (pointer * (count + 1) if depth else 0)
        magic = b"BTIN" if depth else b"BTLF"
        if end + 4 > node or block[:6] != magic + bytes([0, kind]) or not sealed(block[: end + 4]):
            raise UnfamiliarError("a node")
        found = [block[6 + i * size : 6 + (i + 1) * size] for i in range(count)]
        if depth:
            for at in range(6 + count * size, end, pointer):
                child = int.from_bytes(block[at : at + 8], "little")
                below = int.from_bytes(block[at + 8 : at + pointer], "little")
                found += self._node(child, node, size, below, kind, 0)
                if len(found) > _MOST_RECORDS:
                    raise UnfamiliarError("a tree without end")
        return found
