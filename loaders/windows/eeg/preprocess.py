"""From signals in µV to the windows that a network is trained with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loaders.windows.eeg.settings import BAND, BAND_ORDER, CLIP, EPSILON, NOTCH, NOTCH_Q, RATE, STRIDE, WINDOW


def resampled_length(samples: int, rate: float) -> int:
    """Samples that there are at 256 Hz."""
    return samples if rate == RATE else round(samples * RATE / rate)


def preprocess(signals: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """Resampled, filtered, scaled and clipped signals.

    Parameters
    ----------
    signals : array, ``(channels, samples)``
        In µV; not changed.
    rate : float
        Samples a second.

    Returns
    -------
    array, ``(channels, samples at 256 Hz)``, float32
        In standard deviations of the channel, no further than 10 from its mean; 0 for what is no number.
    """
    from scipy import signal

    length = resampled_length(signals.shape[1], rate)
    out = np.zeros((len(signals), length), np.float32)
    if not length:
        return out
    low, high = BAND
    band = signal.butter(BAND_ORDER, [low, high], btype="band", fs=RATE)
    notch = signal.iirnotch(NOTCH, NOTCH_Q, fs=RATE)
    # A channel at a time: in double precision all of them take twice the memory of the signals.
    for channel, target in zip(signals, out, strict=True):
        values = channel.astype(np.float64)
        if rate != RATE:
            values = signal.resample(values, length)
        for numerator, denominator in (band, notch):
            values = signal.lfilter(numerator, denominator, values)
        with np.errstate(invalid="ignore", over="ignore"):
            values = (values - values.mean()) / (values.std() + EPSILON)
        target[:] = np.nan_to_num(np.clip(values, -CLIP, CLIP), nan=0.0, posinf=0.0, neginf=0.0)
    return out


def window_starts(length: int) -> range:
    """First samples of the windows that fit into so many."""
    return range(0, max(0, length - WINDOW + 1), STRIDE)
