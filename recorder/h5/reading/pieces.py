"""What those have in common that read HDF5's structures by themselves."""

from __future__ import annotations

import struct

from recorder.h5.seal import seal
from recorder.h5.superblock import lookup3

UNDEFINED = (1 << 64) - 1
"""The address of what is not there."""


class UnfamiliarError(Exception):
    """A structure that recorders do not write, or one that is damaged: HDF5 can say which."""


def sealed(block: bytes) -> bool:
    """Whether the last four bytes of a block are the checksum of the others."""
    if len(block) < 5:
        return False
    return checksum(block[:-4]) == block[-4:]


def checksum(data: bytes) -> bytes:
    """HDF5's checksum of some bytes, as it is stored."""
    if seal is None:
        return struct.pack("<I", lookup3(data))
    block = bytearray(data) + bytes(4)
    seal(block, struct.pack("<I", len(block)))
    return bytes(block[-4:])
