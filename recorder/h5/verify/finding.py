"""What a check reports: where, and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass


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
        return f"{self.path}: {self.message}"
