"""Helpers around recordings: arrays, folders, and timesteps of streams that were sampled apart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recorder.admission import as_array
from recorder.errors import InputError

INTERPOLATIONS = ("nearest", "linear", "zero")
TIMESTAMP = "%Y%m%d_%H%M%S"


def ensure_numpy(value: Any) -> NDArray[Any]:
    """``value`` (NumPy, torch or JAX on the CPU, lists, scalars) as an array; copied only where needed.

    Raises
    ------
    StreamTypeError
        What a recording does not take: text, objects, ragged lists, masked arrays.
    """
    return as_array("value", None, value)


def create_output_dir(
    output_base_dir: str | Path, experiment_name: str, timestamp: str | None = None
) -> Path:
    """Make the folder ``<output_base_dir>/<experiment_name>_<timestamp>`` and return its path.

    ``timestamp`` is the local time as ``YYYYmmdd_HHMMSS`` by default. The folder is always new: where
    one of that name exists, ``_2``, ``_3`` … is appended.

    Raises
    ------
    OSError
        The folder cannot be made.
    """
    stem = f"{experiment_name}_{timestamp or datetime.now().strftime(TIMESTAMP)}"
    base = Path(output_base_dir)
    base.mkdir(parents=True, exist_ok=True)
    n = 1
    while True:
        folder = base / (stem if n == 1 else f"{stem}_{n}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            n += 1


def align_timesteps(
    streams: Mapping[str, ArrayLike],
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int64]]]:
    """The timesteps that all streams have, and where each stream has them.

    Parameters
    ----------
    streams : mapping of name to int array, shape (rows,)
        Timesteps of each stream, or whole numbers in another dtype; of a repeated one the first row counts.

    Returns
    -------
    timesteps : int64 array, shape (common,)
        Ascending.
    rows : dict of name to int64 array, shape (common,)
        ``values[rows[name]]`` are that stream's values at ``timesteps``.

    Raises
    ------
    InputError
        Timesteps that are no whole numbers.
    """
    arrays = {name: _whole(str(name), steps) for name, steps in streams.items()}
    common: NDArray[np.int64] | None = None
    for steps in arrays.values():
        common = np.unique(steps) if common is None else np.intersect1d(common, steps)
    if common is None:
        return np.empty(0, np.int64), {}
    rows = {}
    for name, steps in arrays.items():
        unique, first = np.unique(steps, return_index=True)
        rows[name] = first[np.searchsorted(unique, common)].astype(np.int64)
    return common, rows


def interpolate_sampled_data(
    timesteps: ArrayLike, values: ArrayLike, target_timesteps: ArrayLike, method: str = "nearest"
) -> NDArray[Any]:
    """Sampled values at other timesteps.

    Parameters
    ----------
    timesteps : int or float array, shape (rows,), ascending
    values : array, shape (rows, ...)
    target_timesteps : int or float array, shape (targets,)
    method : str
        ``nearest`` (the earlier one of two equally near), ``linear`` (constant beyond the ends,
        float64), or ``zero`` (the last sample at or before; the first one before that).

    Returns
    -------
    array, shape (targets, ...)
        A fresh array; dtype of ``values``, but float64 (or complex128) for ``linear``.

    Raises
    ------
    InputError
        An unknown method, no samples, lengths that differ, or timesteps that are no numbers or do not ascend.
    """
    steps, wanted = _real("timesteps", timesteps), _real("target_timesteps", target_timesteps)
    data = np.asarray(values)
    if method not in INTERPOLATIONS:
        raise InputError("method", f"one of {INTERPOLATIONS}", repr(method))
    if not len(steps) or not data.ndim or len(data) != len(steps):
        raise InputError("values", "one row per timestep, at least one", f"{data.shape} for {steps.shape}")
    if (steps[1:] <= steps[:-1]).any():
        raise InputError("timesteps", "ascending timesteps", "others")
    before = np.clip(np.searchsorted(steps, wanted, side="right") - 1, 0, len(steps) - 1)
    if method == "zero":
        return np.asarray(data[before])
    after = np.minimum(before + 1, len(steps) - 1)
    left, right = wanted - steps[before], steps[after] - wanted
    if method == "nearest":
        return np.asarray(data[np.where((right < left) & (right >= 0), after, before)])
    span = steps[after] - steps[before]
    share = np.clip(np.divide(left, span, out=np.zeros(len(wanted)), where=span > 0), 0.0, 1.0)
    share = share.reshape(-1, *(1,) * (data.ndim - 1))
    kind = np.complex128 if data.dtype.kind == "c" else np.float64
    low, high = data[before].astype(kind), data[after].astype(kind)
    with np.errstate(invalid="ignore"):
        between = low + share * (high - low)
    # Where a target is a sample the sample itself is right, even beside NaN or infinity.
    return np.asarray(np.where(share == 0, low, np.where(share == 1, high, between)))


def create_timestep_mapping(source_timesteps: ArrayLike, target_timesteps: ArrayLike) -> dict[int, int]:
    """For each target timestep the row of the last source timestep at or before it.

    Targets before the first source timestep are absent. ``source_timesteps`` must ascend.

    Raises
    ------
    InputError
        Source timesteps that do not ascend, or timesteps that are no whole numbers.
    """
    source = _whole("source_timesteps", source_timesteps)
    wanted = _whole("target_timesteps", target_timesteps)
    if (source[1:] < source[:-1]).any():
        raise InputError("source_timesteps", "ascending timesteps", "others")
    rows = np.searchsorted(source, wanted, side="right") - 1
    return {int(step): int(row) for step, row in zip(wanted, rows, strict=True) if row >= 0}


def _whole(name: str, timesteps: ArrayLike) -> NDArray[np.int64]:
    """As int64, which none of them may change in."""
    array = _real(name, timesteps)
    if array.dtype.kind == "f" and not ((array == np.floor(array)) & (np.abs(array) < 2.0**63)).all():
        raise InputError(name, "whole timesteps", f"others, as {array.dtype}")
    return array.astype(np.int64)


def _real(name: str, timesteps: ArrayLike) -> NDArray[Any]:
    """Whole numbers as int64, whose differences have a sign; others as they are."""
    try:
        array = np.asarray(timesteps)
    except (TypeError, ValueError) as error:  # ragged
        raise InputError(name, "one row of timesteps", repr(timesteps)[:80]) from error
    if array.ndim != 1 or (array.dtype.kind not in "iuf" and len(array)):
        raise InputError(name, "one row of timesteps", f"{array.dtype} {array.shape}")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise InputError(name, "timesteps", "NaN or infinity")
        return array
    if array.dtype == np.uint64 and (array >= 2**63).any():
        raise InputError(name, "timesteps below 2**63", str(array.max()))
    return array.astype(np.int64)
