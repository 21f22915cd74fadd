"""How a cache of windows is to be made, checked before anything is."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from loaders.windows.normalise import DTYPES, NORMALISATIONS
from recorder.errors import OptionError
from recorder.h5.windows.layout import Settings
from recorder.h5.windows.writing import Encoder


def settings_of(
    window_size: int,
    stride: int,
    compression: str | None,
    dtype: str,
    normalisation: str,
    epsilon: float,
    sampling_rate: float | None,
) -> Settings:
    """The parameters of a build as what its cache records.

    Raises
    ------
    OptionError
        One of them cannot be what it is.
    """
    name = _dtype(dtype)
    if name not in DTYPES:
        raise OptionError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    if normalisation not in NORMALISATIONS:
        raise OptionError(f"normalisation must be one of {', '.join(NORMALISATIONS)}, got {normalisation!r}")
    if compression is not None and (not isinstance(compression, str) or compression == "none"):
        raise OptionError(f"compression must be None or a filter's name, got {compression!r}")
    Encoder(compression)
    return Settings(
        window_size=count_of("window_size", window_size),
        stride=count_of("stride", stride),
        normalisation=normalisation,
        epsilon=_number("epsilon", epsilon, least=0.0),
        dtype=name,
        compression=compression or "none",
        sampling_rate=None if sampling_rate is None else _rate(sampling_rate),
    )


def _dtype(given: Any) -> str:
    try:
        return str(np.dtype(given).name)
    except TypeError:
        return str(given)


def count_of(name: str, given: Any, of: str = "samples") -> int:
    """``given`` as a whole number of at least 1; OptionError else."""
    try:
        found = operator.index(given)
    except TypeError:
        found = 0
    if found < 1 or isinstance(given, bool):
        raise OptionError(f"{name} must be a whole number of {of}, at least 1, got {given!r}")
    return found


def _number(name: str, given: Any, *, least: float) -> float:
    try:
        found = float(given)
    except (TypeError, ValueError):
        found = math.nan
    if not (math.isfinite(found) and found >= least):
        raise OptionError(f"{name} must be a number of at least {least:g}, got {given!r}")
    return found


def _rate(given: Any) -> float:
    found = _number("sampling_rate", given, least=0.0)
    if not found:
        raise OptionError("sampling_rate must be above 0 Hz, got 0")
    return found
