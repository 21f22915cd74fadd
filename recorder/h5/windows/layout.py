"""Where things stand in a cache of windows.

Datasets and their shapes are those of the system that it follows; attributes and ``subject_sources`` are
ours, and files without them are read all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOWS = "windows"
"""(windows, channels, samples): those of a subject are consecutive rows."""
IDS = "subject_ids"
"""(windows,) text: whose each row is."""
NAMES, STARTS, COUNTS = "subject_names", "subject_start_indices", "subject_counts"
"""(subjects,): text, int64, int64."""
SOURCES = "subject_sources"
"""(subjects,) text: JSON of what each subject's windows were made from."""

FORMAT, FORMAT_VERSION = "flightrec-windows", "1.0"
CACHE_ID = "cache_id"
PLACES = "sources"
"""Root attribute, JSON: the distinct folders and formats that subjects came from."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all windows of a cache have in common; root attributes of these names.

    Attributes
    ----------
    window_size, stride : int
        Samples.
    normalisation : str
    epsilon : float
        Added to the standard deviation of a window.
    dtype : str
        NumPy's name of what is stored.
    compression : str
        A filter's name, or ``"none"``.
    sampling_rate : float or None
        Hz; None where nobody said.
    """

    window_size: int
    stride: int
    normalisation: str
    epsilon: float
    dtype: str
    compression: str
    sampling_rate: float | None = None
