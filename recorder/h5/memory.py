"""HDF5 files in memory, which never reach a disk."""

from __future__ import annotations

import itertools
import os
from typing import Any

from h5py import h5f, h5p

_numbers = itertools.count()


def in_memory(grain: int = 1 << 12) -> Any:
    """A new one, of the version of recordings; its memory grows by ``grain`` bytes."""
    plist = h5p.create(h5p.FILE_ACCESS)
    plist.set_fapl_core(grain, False)
    plist.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
    # Nothing has this name; HDF5 only tells its open files apart by it.
    name = f"flightrec-in-memory-{os.getpid()}-{next(_numbers)}"
    return h5f.create(name.encode(), h5f.ACC_TRUNC, fapl=plist)
