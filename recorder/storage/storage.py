"""The store's public class."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from recorder.storage.checkpoints import Checkpoints
from recorder.storage.core import PATIENCE
from recorder.storage.managing import Managing
from recorder.storage.retrieving import Retrieving
from recorder.storage.storing import Storing

HDF5_AVAILABLE = True
"""Kept for programs that ask: flightrec does not import without h5py."""


class HDF5Storage(Storing, Checkpoints, Managing, Retrieving):
    """A store of network states, spike trains, activations and learning traces in one HDF5 file.

    Any number of threads and processes may use the same file, each with a store of its own or, within a
    process, a shared one: they take turns to store, and read at any time. Between two calls the file is a
    plain HDF5 file, and a process that is killed leaves what it had stored, whole.

    Timestamps are seconds: Unix seconds, as of ``time.time()``, or a run's own time. Age counts in
    :meth:`cleanup_old_data` alone, which reads them as Unix seconds unless it is told what time it is.

    Parameters
    ----------
    file_path : path
        Made, with its folders, where it is missing. Files of the older layout are read and written, too.
    compression : "gzip", "lzf", "szip", None, or a filter of hdf5plugin by name
    compression_opts : int or None
        0 to 9 for gzip.
    chunk_size : int
        At most so many values along each axis of a chunk, and at most 1 MiB in all.
    max_file_size : int
        Bytes; a file that has passed them is rotated by itself, see :meth:`rotate_file`.
    enable_swmr : bool
        Other programs can open the file at every instant, by plain HDF5: it reaches up to 16 MiB beyond its
        end, as a hole, until the store is closed. This package's own readers need it not.
    durability : "process" or "fsync"
        Whether what was stored survives a killed process, or a power cut as well.
    patience : float
        Seconds to wait while others store.

    Raises
    ------
    OptionError
        An argument cannot be what it is.
    HDF5StorageError
        The file is none of a store, is damaged, or cannot be made.
    """

    def __init__(
        self,
        file_path: str | os.PathLike[str] = "godly_ai_data.h5",
        compression: str | None = "gzip",
        compression_opts: int | None = 6,
        chunk_size: int = 1024,
        max_file_size: int = 10 * 1024**3,
        enable_swmr: bool = True,
        *,
        durability: str = "process",
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(
            file_path,
            compression,
            compression_opts,
            chunk_size,
            max_file_size,
            enable_swmr,
            durability,
            patience,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"HDF5Storage({str(self.file_path)!r})"
