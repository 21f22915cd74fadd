"""What ``log_batch`` takes: columns whose first axis is steps, or a typed error before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import admit_key, as_array, describe
from recorder.errors import InputError, StreamShapeError, StreamTypeError
from recorder.format.layout import BEHAVIOR, NEURAL, REWARDS, SPIKES

Columns = dict[str, NDArray[Any]]
"""Arrays by the name of their stream, ``(steps, ...)`` each."""

_TIMES = "timesteps"
_ARGUMENTS = {NEURAL: "neural_state", BEHAVIOR: "behavior"}


def admit_batch(
    timesteps: Any, neural_state: Any, spikes: Any, behavior: Any, reward: Any, *, index_lists: bool
) -> tuple[NDArray[np.int64], Columns]:
    """The timesteps of a batch and its columns.

    Raises
    ------
    InputError
        Something in it is no array of so many steps, or of a dtype that cannot be stored.
    """
    times = _timesteps(timesteps)
    columns: Columns = {}
    for group, mapping in ((NEURAL, neural_state), (BEHAVIOR, behavior)):
        if mapping is None:
            continue
        if not isinstance(mapping, Mapping):
            raise StreamTypeError(group, f"{_ARGUMENTS[group]} as a dict", type(mapping).__name__)
        for key, value in mapping.items():
            columns[f"{group}/{admit_key(group, key)}"] = as_array(f"{group}/{key}", None, value)
    if spikes is not None:
        columns[SPIKES] = as_array(SPIKES, None, spikes)
    if reward is not None:
        columns[REWARDS] = as_array(REWARDS, None, reward)
    for name, array in columns.items():
        if array.ndim == 0 or len(array) != len(times):
            raise StreamShapeError(name, f"a first axis of {len(times)} steps", describe(array))
    if SPIKES in columns:
        _check_spikes(columns[SPIKES], index_lists)
    if REWARDS in columns:
        columns[REWARDS] = _rewards(columns[REWARDS])
    return times, columns


def _timesteps(value: Any) -> NDArray[np.int64]:
    array = as_array(_TIMES, None, value)
    if array.ndim != 1:
        raise StreamShapeError(_TIMES, "shape (steps,)", describe(array))
    if array.dtype.kind not in "iu" and len(array):
        raise StreamTypeError(_TIMES, "integers", describe(array))
    if array.dtype == np.uint64 and len(array) and int(array.max()) >= 2**63:
        raise InputError(_TIMES, "integers of 64 bits", str(array.max()))
    return array.astype(np.int64, copy=False)


def _check_spikes(array: NDArray[Any], index_lists: bool) -> None:
    if index_lists:
        raise StreamTypeError(SPIKES, "index lists", describe(array), hint="log them step by step with log()")
    if array.ndim != 2 or not array.shape[1]:
        raise StreamShapeError(SPIKES, "shape (steps, neurons)", describe(array))


def _rewards(array: NDArray[Any]) -> NDArray[np.float64]:
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise StreamTypeError(REWARDS, "real numbers, shape (steps,)", describe(array))
    real = array.astype(np.float64, copy=False)
    if array.dtype.kind in "iu" and any(int(r) != int(a) for r, a in _large(real, array)):
        raise InputError(REWARDS, "numbers that float64 holds exactly", describe(array))
    return real


def _large(real: NDArray[np.float64], array: NDArray[Any]) -> Any:
    """Pairs of those that may have been rounded. Not by casting back, which overflows at 2⁶³ and 2⁶⁴."""
    places = np.abs(real) >= 2.0**53
    return zip(real[places].tolist(), array[places].tolist(), strict=True)
