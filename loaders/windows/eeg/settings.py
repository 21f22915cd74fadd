"""What windows are made with. Whoever changes one of these makes all caches that are there stale."""

from __future__ import annotations

from typing import Any

_LEFT = ("Fp1", "F3", "C3", "P3", "F7", "T3", "T5", "O1")
_RIGHT = ("Fp2", "F4", "C4", "P4", "F8", "T4", "T6", "O2")
CHANNELS = (*_LEFT, "Fz", "Cz", "Pz", *_RIGHT)
"""The 19 rows of a window."""
ALIASES = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
"""Newer names of electrodes, and the ones used here."""
INTERPOLATED = ("Fz", "Pz")
"""Electrodes whose signals may be made from those of the others."""
MONTAGE = "standard_1020"

RATE = 256
"""Samples a second."""
WINDOW = 60 * RATE
"""Samples of a window."""
STRIDE = 10 * RATE
"""Samples from one window's start to the next one's."""
BAND = (0.5, 120.0)
BAND_ORDER = 3
NOTCH, NOTCH_Q = 60.0, 30.0
CLIP = 10.0
"""Standard deviations."""
EPSILON = 1e-8

SEIZURES = ("seiz", "gnsz", "fnsz", "cpsz", "absz", "spsz", "tcsz", "tnsz", "mysz")
"""Labels that mean a seizure; case matters."""
FULL_FROM = 0.99
"""Share of a window's samples from which on it counts as all seizure."""

SETTINGS: dict[str, Any] = {
    "channels": list(CHANNELS),
    "aliases": ALIASES,
    "interpolated": list(INTERPOLATED),
    "montage": MONTAGE,
    "rate_hz": RATE,
    "window": WINDOW,
    "stride": STRIDE,
    "band_hz": list(BAND),
    "band_order": BAND_ORDER,
    "notch_hz": NOTCH,
    "notch_q": NOTCH_Q,
    "clip": CLIP,
    "epsilon": EPSILON,
    "seizures": list(SEIZURES),
}
"""As they stand in a cache, its index and its manifest."""


def differences(found: Any) -> str:
    """Which settings another set has otherwise, in words; empty where they are these."""
    if not isinstance(found, dict):
        return "settings that are not said"
    names = [name for name in {**SETTINGS, **found} if found.get(name) != SETTINGS.get(name)]
    return ", ".join(f"{name} {found.get(name)!r} instead of {SETTINGS.get(name)!r}" for name in names)
