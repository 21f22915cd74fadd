"""``flightrec build-cache`` and ``flightrec scan-cache``: windows of EEG recordings for training."""

from __future__ import annotations

from loaders.windows.eeg.command import build_cache, scan_cache

__all__ = ["build_cache", "scan_cache"]
