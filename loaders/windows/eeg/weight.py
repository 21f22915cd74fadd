"""How much a seizure counts in the loss."""

from __future__ import annotations

import math

from loaders.windows.eeg import flags
from recorder.errors import OptionError


def compute_pos_weight(seizure_ratio: float, *, smoke_test: bool | None = None) -> float:
    """``sqrt((1 - r) / r)`` where ``0 < r < 0.5``, else 1.0; always 1.0 in a smoke test.

    Parameters
    ----------
    seizure_ratio : float
        Share of the windows with a seizure, from 0 to 1.
    smoke_test : bool, optional
        By default whether ``BGB_SMOKE_TEST`` is ``1``.

    Raises
    ------
    OptionError
        The ratio is no share.
    """
    ratio = float(seizure_ratio)
    if not 0 <= ratio <= 1:
        raise OptionError(f"a share of windows is a number from 0 to 1, not {seizure_ratio!r}")
    if flags.is_on(flags.SMOKE_TEST) if smoke_test is None else smoke_test:
        return 1.0
    return math.sqrt((1 - ratio) / ratio) if 0 < ratio < 0.5 else 1.0
