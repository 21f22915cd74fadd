"""Values rounded by request, to multiples of a power of two: plain numbers with short mantissas.

A grid of binary steps keeps every value representable, so no reader has to undo anything, and the bits
below the step are zero, which deflate leaves out. (Bit rounding; compare M. Klöwer et al., "Compressing
atmospheric data into its real information content", Nature Computational Science 1, 2021, where the
number of bits is relative; here the error is absolute.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def rounded(values: NDArray[Any], precision: float) -> NDArray[Any]:
    """A copy in which no finite value is further than ``precision`` from the given one.

    Parameters
    ----------
    values : array of float or complex, any shape
        NaN and infinities stay, and so do values whose own spacing is wider than the step.
    precision : float
        Above 0; the step is the largest power of two that is at most twice as wide.
    """
    if values.dtype.kind == "c":
        parts = values.view(values.real.dtype)
        return rounded(parts, precision).view(values.dtype)
    info = np.finfo(values.dtype)
    step = 2.0 ** min(math.floor(math.log2(2.0 * precision)), info.maxexp - 1)
    if step <= float(info.smallest_subnormal):
        return values.copy()
    with np.errstate(invalid="ignore", over="ignore"):
        on_grid = np.rint(values / values.dtype.type(step)) * values.dtype.type(step)
        coarse = (np.abs(values) < min(step * 2.0**info.nmant, float(info.max))) & np.isfinite(on_grid)
        return np.where(coarse, on_grid, values).astype(values.dtype, copy=False)
