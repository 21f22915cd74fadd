"""Seconds of a timestep, as the user gives them: a recording does not know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import ExportError, OptionError

if TYPE_CHECKING:
    from loaders.experiment import ExperimentLoader

Seconds = float | str | None


def seconds(dt: Seconds, recording: ExperimentLoader) -> float:
    """The seconds of a timestep: ``dt`` itself, or the configuration's value under this dotted key.

    Raises
    ------
    OptionError
        It is missing, or no length of time; nothing is guessed.
    """
    if dt is None:
        raise OptionError(
            "a recording has timesteps, not seconds: give dt, the seconds of a timestep, or the key under "
            "which the configuration has them, for instance dt=0.001 or dt='simulation.dt'"
        )
    found = _configured(recording.get_config(), dt) if isinstance(dt, str) else dt
    if not isinstance(found, Real) or isinstance(found, bool) or not 0 < float(found) < math.inf:
        raise OptionError(f"dt: expected the seconds of a timestep, greater than 0, got {found!r}")
    return float(found)


def times(steps: NDArray[np.int64], dt: float, what: str = "timesteps") -> NDArray[np.float64]:
    """``steps * dt``, of which ``rint(time / dt)`` gives the timesteps again.

    Raises
    ------
    ExportError
        It would not: timesteps so large that float64 has one time for several of them.
    """
    with np.errstate(all="ignore"):
        found = steps * dt
        back = np.rint(found / dt)
    # Beyond int64 there is nothing to compare with, nor where time is no number.
    inside = np.abs(back) < 2.0**63
    if not inside.all() or not np.array_equal(back.astype(np.int64), steps):
        raise ExportError(
            f"{what}: at {dt!r} a timestep, times up to {np.abs(steps).max()} timesteps are not distinct in "
            "float64; log timesteps that count from the start of the run"
        )
    return np.asarray(found, np.float64)


def _configured(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise OptionError(
                f"dt: the configuration has no {key!r}; it has {', '.join(config) or 'nothing'}"
            )
        value = value[name]
    return value
