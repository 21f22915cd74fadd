"""What is done to a window before it is trained on.

All take ``(…, channels, samples)``, as tensors or arrays, and return a fresh tensor. Random ones draw from
torch's generator, which the datasets here seed for each window.
"""

from __future__ import annotations

from typing import Any

import torch


class NoiseInjection:
    """Add Gaussian noise with the deviation of the whole window."""

    def __call__(self, timeseries: Any) -> torch.Tensor:
        window = torch.as_tensor(timeseries)
        return window + torch.randn_like(window) * window.std(correction=_correction(window.numel()))

    def __repr__(self) -> str:
        return "NoiseInjection()"


class StdGaussianNoise:
    """Add Gaussian noise.

    Parameters
    ----------
    std : float
        Its deviation.
    """

    def __init__(self, *, std: float) -> None:
        self.std = std

    def __call__(self, timeseries: Any) -> torch.Tensor:
        window = torch.as_tensor(timeseries)
        return window + torch.randn_like(window) * self.std

    def __repr__(self) -> str:
        return f"StdGaussianNoise(std={self.std})"


class ZScore:
    """Give each channel mean 0 and sample deviation 1; a constant one becomes 0.

    Parameters
    ----------
    eps : float
        Added to the deviation.
    """

    def __init__(self, eps: float = 1e-8) -> None:
        self.eps = eps

    def __call__(self, timeseries: Any) -> torch.Tensor:
        window = torch.as_tensor(timeseries)
        mean = window.mean(dim=-1, keepdim=True)
        deviation = window.std(dim=-1, keepdim=True, correction=_correction(window.shape[-1]))
        return (window - mean) / (deviation + self.eps)

    def __repr__(self) -> str:
        return f"ZScore(eps={self.eps})"


def _correction(count: int) -> int:
    # One value has no sample deviation.
    return min(1, count - 1)
