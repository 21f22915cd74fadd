"""Which neurons are wanted: an int, a slice, or an array of indices or of booleans."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.h5.source import Select

Neurons = int | slice | list[int] | NDArray[Any] | None


def row_selection(neurons: Neurons, width: int) -> Select:
    """``neurons`` as an index along a row axis of ``width`` entries, negative numbers from its end.

    Raises
    ------
    IndexError
        Outside the axis, or a boolean array of another length.
    TypeError
        Neither integers nor booleans.
    """
    if neurons is None or isinstance(neurons, slice):
        return neurons
    if not isinstance(neurons, list | tuple | np.ndarray | range):
        index = operator.index(neurons)
        if not -width <= index < width:
            raise IndexError(f"neuron {index} of {width}")
        return index % width
    wanted = np.asarray(neurons)
    if wanted.dtype.kind == "b":
        if wanted.shape != (width,):
            raise IndexError(f"a mask of shape {wanted.shape} for {width} neurons")
        return np.flatnonzero(wanted)
    if not wanted.size:
        return np.empty(wanted.shape, np.intp)
    if wanted.dtype.kind not in "iu":
        raise TypeError(f"neurons are integers, a slice or a mask, not {wanted.dtype}")
    if not -width <= wanted.min() <= wanted.max() < width:
        raise IndexError(f"neurons {wanted.min()} to {wanted.max()} of {width}")
    return wanted.astype(np.intp) % width


def selected_ids(neurons: Neurons, width: int) -> NDArray[np.int64]:
    """The ids that ``neurons`` names, int64 1-D in the order named; see :func:`row_selection`."""
    chosen = row_selection(neurons, width)
    if isinstance(chosen, slice):
        return np.arange(*chosen.indices(width), dtype=np.int64)
    if chosen is None:
        return np.arange(width, dtype=np.int64)
    return np.atleast_1d(np.asarray(chosen, np.int64)).reshape(-1)
