"""From samples to windows as they are stored: cut, normalised, and refused where the dtype cannot hold them.

A window's deviation is that of a population with an epsilon, a whole recording's that of a sample
without one: so did the two versions of the system that these caches come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from recorder.errors import ReadError

NORMALISATIONS = ("window", "recording", "none")
DTYPES = ("float16", "float32")

Scale = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Mean and deviation of each channel, (channels, 1); the deviation of a constant channel is 1."""


def cut(samples: NDArray[np.float64], size: int, stride: int) -> NDArray[np.float64]:
    """Windows at 0, ``stride``, 2 ``stride`` … as a view, (windows, channels, size)."""
    return sliding_window_view(samples, size, axis=1)[:, ::stride].transpose(1, 0, 2)


def scale_of(blocks: Iterable[NDArray[np.float64]]) -> Scale:
    """Mean and sample deviation of each channel over all blocks, merged as they come.

    Raises
    ------
    ReadError
        There is a value that is not finite.
    """
    count, mean, squares, low, high = 0, np.zeros(()), np.zeros(()), np.zeros(()), np.zeros(())
    for block in blocks:
        check_finite(block)
        n, middle = block.shape[1], block.mean(axis=1, keepdims=True)
        spread = np.square(block - middle).sum(axis=1, keepdims=True)
        least, most = block.min(axis=1, keepdims=True), block.max(axis=1, keepdims=True)
        if not count:
            count, mean, squares, low, high = n, middle, spread, least, most
            continue
        apart = middle - mean
        squares = squares + spread + apart**2 * (count * n / (count + n))
        mean = mean + apart * (n / (count + n))
        count, low, high = count + n, np.minimum(low, least), np.maximum(high, most)
    deviation = np.sqrt(squares / max(1, count - 1))
    # By its values: the sum of squares of a constant is not always 0.
    constant = low == high
    return np.where(constant, low, mean), np.where(constant | (deviation == 0), 1.0, deviation)


def normalised(
    window: NDArray[np.float64], normalisation: str, epsilon: float, scale: Scale | None
) -> NDArray[np.float64]:
    """One window, (channels, samples)."""
    if normalisation == "window":
        mean, deviation = window.mean(axis=1, keepdims=True), window.std(axis=1, keepdims=True)
        out = np.asarray((window - mean) / (deviation + epsilon))
        # By its values: what is left of a constant whose mean is rounded is no signal.
        out[window.min(axis=1) == window.max(axis=1)] = 0.0
        return out
    if scale is not None:
        return np.asarray((window - scale[0]) / scale[1])
    return window


def check_finite(samples: NDArray[np.float64]) -> None:
    """No sample is NaN or infinite: one would spoil its whole channel.

    Raises
    ------
    ReadError
    """
    # A sum is finite only if all its terms are; the terms are looked at where it is not.
    if not np.isfinite(samples.sum()) and not np.isfinite(samples).all():
        channel, sample = np.argwhere(~np.isfinite(samples))[0].tolist()
        raise ReadError(
            f"channel {channel} has {samples[channel, sample]} among its samples, expected finite numbers"
        )


def stored(window: NDArray[np.float64], out: NDArray[Any]) -> None:
    """Round a window to what is stored.

    Raises
    ------
    ReadError
        Values, or all that a channel has, are outside the range in which the dtype keeps its precision.
    """
    with np.errstate(over="ignore"):
        out[...] = window
    limits, wide = np.finfo(out.dtype), np.maximum(window.max(axis=1), -window.min(axis=1))
    # Of what is rounded to infinity: the largest number, and half a step.
    if not np.isfinite(out[np.argmax(wide)]).all():
        raise ReadError(f"a window has values up to {wide.max():.4g}, and {out.dtype} ends at {limits.max}")
    small = (wide > 0) & (wide < float(limits.smallest_normal))
    if small.any():
        raise ReadError(
            f"channel {int(np.argmax(small))} of a window has no value above {wide[small][0]:.4g}, where "
            f"{out.dtype} loses its precision: scale the data, or normalise by recording, or store float32"
        )
