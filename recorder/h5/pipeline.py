"""What HDF5's filters shuffle, deflate and fletcher32 did to a chunk, undone here with every length checked.

HDF5 hands out uninitialised memory where a stream ends too early, and allocates whatever a stream that
does not end asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import h5py

from recorder.errors import DamagedError
from recorder.format import fletcher
from recorder.format.deflate import INFLATE_ERRORS, INFLATER

DEFLATE_RATIO = 1032
"""Deflate cannot shrink anything further than by this factor."""
SHUFFLE, DEFLATE, FLETCHER = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32
_OURS = (SHUFFLE, DEFLATE, FLETCHER)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A dataset's filters in the order of writing; the bits of a chunk's mask are places in it."""

    codes: tuple[int, ...]
    nbytes: int
    """Bytes of a chunk without filters."""
    width: int
    """Bytes of a value."""

    @classmethod
    def of(cls, dataset: Any) -> Pipeline | None:
        """The filters of a chunked dataset; None where only HDF5 can undo them.

        Raises
        ------
        DamagedError
            Filters that no recorder would combine: they would hide from the checks here.
        """
        plist = dataset.id.get_create_plist()
        return cls.from_plist(plist, dataset.name, dataset.chunks, dataset.dtype.itemsize)

    @classmethod
    def from_plist(cls, plist: Any, name: str, chunks: tuple[int, ...], width: int) -> Pipeline | None:
        """As :meth:`of`, for the property list of the dataset ``name`` with values of ``width`` bytes."""
        filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
        codes = tuple(code for code, *_ in filters)
        others = [code for code in codes if code not in _OURS]
        if len(set(codes)) < len(codes) or SHUFFLE in codes[1:] or (others and DEFLATE in codes):
            raise DamagedError(f"{name}: its filters {codes} are none that a recorder combines")
        if others:
            return None
        if SHUFFLE in codes and filters[0][2][:1] not in ((width,), ()):
            return None
        return cls(codes, math.prod(chunks) * width, width)

    @property
    def most(self) -> int:
        """The factor by which a chunk may be larger than what is stored of it."""
        return DEFLATE_RATIO if DEFLATE in self.codes else 1

    def applied(self, code: int, mask: int) -> bool:
        """Whether a filter was applied to a chunk with this mask."""
        return code in self.codes and not mask >> self.codes.index(code) & 1

    def checks(self, mask: int) -> bool:
        """Whether a checksum covers a chunk with this mask."""
        return self.applied(DEFLATE, mask) or self.applied(FLETCHER, mask)

    def decode(self, raw: bytes, mask: int) -> tuple[bytes, bool]:
        """A chunk's bytes, and whether they are still shuffled; at most one byte more than a chunk is made.

        Raises
        ------
        DamagedError
            They do not say what they must.
        """
        data = raw
        for code in reversed(self.codes):
            if not self.applied(code, mask) or code == SHUFFLE:
                continue
            data = self._checked(data) if code == FLETCHER else self._inflated(data, mask)
        if len(data) != self.nbytes:
            raise DamagedError(f"holds {len(data):,} of {self.nbytes:,} bytes")
        return data, self.applied(SHUFFLE, mask) and self.width > 1

    def _checked(self, data: bytes) -> bytes:
        rest = fletcher.checked(data)
        if rest is None:
            raise DamagedError("does not have the Fletcher-32 that was stored with it")
        return rest

    def _inflated(self, data: bytes, mask: int) -> bytes:
        # A bomb ends here, and a stream that ends has its Adler-32 checked.
        inner = FLETCHER in self.codes[: self.codes.index(DEFLATE)] and self.applied(FLETCHER, mask)
        most = self.nbytes + fletcher.SIZE * inner
        stream = INFLATER.decompressobj()
        try:
            out = stream.decompress(data, most + 1)
        except INFLATE_ERRORS as error:
            raise DamagedError(f"does not inflate: {error}") from error
        if len(out) > most:
            raise DamagedError(f"inflates to more than {most:,} bytes")
        if not stream.eof:
            raise DamagedError(f"holds {len(out):,} of {most:,} bytes")
        return bytes(out)
