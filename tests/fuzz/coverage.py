"""Which bytes of a recording no checksum covers.

HDF5's metadata of this version carry checksums, and deflated chunks their Adler-32. What is left: chunks
without a filter that checks anything, contiguous data, and the heaps that hold text attributes.
"""

from __future__ import annotations

from pathlib import Path

import h5py

CHECKED = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_FLETCHER32}


def unchecked(path: Path) -> list[tuple[int, int]]:
    """Ranges of bytes; sorted."""
    data = path.read_bytes()
    ranges: list[tuple[int, int]] = []
    place = data.find(b"GCOL")
    while place >= 0:
        ranges.append((place, place + int.from_bytes(data[place + 8 : place + 16], "little")))
        place = data.find(b"GCOL", place + 1)

    def look(_: str, dataset: object) -> None:
        if not isinstance(dataset, h5py.Dataset):
            return
        if dataset.chunks is None:
            start = dataset.id.get_offset()
            if start is not None:
                ranges.append((start, start + dataset.id.get_storage_size()))
            return
        plist = dataset.id.get_create_plist()
        codes = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
        bits = sum(1 << i for i, code in enumerate(codes) if code in CHECKED)
        chunks: list[h5py.h5d.StoreInfo] = []
        dataset.id.chunk_iter(chunks.append)
        ranges.extend((c.byte_offset, c.byte_offset + c.size) for c in chunks if not bits & ~c.filter_mask)

    with h5py.File(path, "r") as file:
        file.visititems(look)
    return sorted(ranges)


def touches(ranges: list[tuple[int, int]], others: list[tuple[int, int]]) -> bool:
    """Whether any two overlap."""
    return any(a < d and c < b for a, b in ranges for c, d in others)
