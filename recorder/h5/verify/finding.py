"""What a check reports: where, what is wrong there, and how much of the rest is good."""

from __future__ import annotations

from dataclasses import dataclass

from recorder.format.printable import printable


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is broken.

    Attributes
    ----------
    path : str
        Path of the object within the HDF5 file; ``/`` for the file itself.
    message : str
        What is wrong with it, and what it says against what it should.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return printable(f"{self.path}: {self.message}")


@dataclass(slots=True)
class Tally:
    """What was read, and how much of it is damaged.

    Attributes
    ----------
    datasets, chunks, nbytes : int
        Read in all; bytes as stored. Data in one piece count as one chunk.
    bad_datasets, bad_chunks, bad_nbytes : int
        Of these, what cannot be read. Chunks that were never stored count as bad chunks.
    unchecked_nbytes : int
        Stored without any checksum: a wrong byte in these cannot be noticed.
    """

    datasets: int = 0
    chunks: int = 0
    nbytes: int = 0
    bad_datasets: int = 0
    bad_chunks: int = 0
    bad_nbytes: int = 0
    unchecked_nbytes: int = 0
