"""Mapped tensors that stay out of memory: pages that were looked at are let go before they become many.

A mapped file costs no memory, but each page that is read stays in the process's page table until somebody
needs the room: after an epoch all of the file is resident, and tools count it. How much a look at one row
makes resident is the kernel's choice: 64 KiB around it, or, since Linux 6.18, all of a folio, which may be
2 MiB. So what is resident is asked for, after every few rows. Letting pages go takes them from this process
only; the kernel keeps them in its cache, and gives them back without reading.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PART = 40
"""One part in so many of the mapped bytes may be resident, or ``LEAST`` bytes."""
LEAST = 4 << 20
AROUND = 1 << 16
"""A look at one byte makes at least so many bytes around it resident (``fault_around_bytes`` of Linux)."""
FOLIO = 1 << 21
"""A look at one byte makes hardly more bytes than this resident."""
_DONT_NEED = 4


def _madvise() -> Any:
    if sys.platform != "linux":  # elsewhere the advice means something else, or nothing
        return None
    function = ctypes.CDLL(None, use_errno=True).madvise
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function


class Residency:
    """Counts what was looked at, and lets all of it go when it is too much.

    Parameters
    ----------
    tensors : iterable of torch.Tensor
        Of which those are let go that are mapped from files, and whose bytes nobody changes.

    Attributes
    ----------
    mapped : dict of int to torch.Tensor
        Those that are mapped from files, by ``id``.
    step : int
        So many rows may be looked at before what is resident is asked for.
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        # With the storages the maps stay, so that no address here is ever another's memory.
        self.mapped = {
            id(tensor): tensor for tensor in tensors if _is_of_a_file(*_pages(tensor.untyped_storage()))
        }
        storages = [tensor.untyped_storage() for tensor in self.mapped.values()]
        self._mapped = [(storage, storage.data_ptr()) for storage in storages]
        self._most = max(LEAST, sum(storage.nbytes() for storage in storages) // PART)
        self.step = max(1, self._most // FOLIO)
        self._seen, self._before, self._pid = 0, _resident(), os.getpid()
        self._advise = _madvise()

    def looked_at(self, rows: int, nbytes: int) -> None:
        """Take note of so many rows of together so many bytes, anywhere in the tensors."""
        if self._pid != os.getpid():
            # After a fork most of what the parent has of its files is not resident here.
            self.let_go()
        # Both: kernels with many processors count what is resident only roughly.
        self._seen += nbytes + rows * AROUND
        if self._seen > self._most or _resident() - self._before > self._most:
            self.let_go()

    def let_go(self) -> None:
        """Let all pages go; the next look at each brings it back."""
        for storage, start in self._mapped if self._advise is not None else ():
            # torch moves storages that it sends to other processes; then there is no map any more.
            if storage.data_ptr() == start:
                first, end = _pages(storage)
                self._advise(first, end - first, _DONT_NEED)
        self._seen, self._before, self._pid = 0, _resident(), os.getpid()


def _resident() -> int:
    """Bytes of files that are resident in this process; 0 where Linux does not tell."""
    try:
        # Opened each time: after a fork an open one would still be the parent's.
        with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - five times as fast
            return int(file.read(256).split()[2]) * mmap.PAGESIZE
    except OSError:
        return 0


def _pages(storage: Any) -> tuple[int, int]:
    """Where the pages of a storage begin and end."""
    start, end = storage.data_ptr(), storage.data_ptr() + storage.nbytes()
    return start // mmap.PAGESIZE * mmap.PAGESIZE, -(-end // mmap.PAGESIZE) * mmap.PAGESIZE


def _is_of_a_file(start: int, end: int) -> bool:
    """Whether the kernel can bring these pages back: others would be lost, and read as zeros."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return False
    for line in lines:
        place, _, _, _, inode, *_ = line.split(maxsplit=5)
        low, high = (int(bound, 16) for bound in place.split("-"))
        if low <= start < end <= high:
            return inode != "0"
    return False
