"""What a vector of environments says of each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.admission import as_array, describe
from recorder.errors import InputError, OptionError
from recorder.integrations.extra import missing
from recorder.integrations.host import to_host

try:
    from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
except ImportError as error:
    raise missing("gymnasium", error) from error


def mode_of(envs: VectorEnv[Any, Any, Any], given: AutoresetMode | str | None) -> AutoresetMode:
    """How the environments reset: as they say themselves, or else as given."""
    said = (envs.metadata or {}).get("autoreset_mode")
    modes = ", ".join(repr(mode.value) for mode in AutoresetMode)
    if said is None and given is None:
        raise OptionError(
            f"{envs} does not say in metadata['autoreset_mode'] how its environments reset: "
            f"give autoreset_mode=, one of {modes}"
        )
    try:
        found = {AutoresetMode(mode) for mode in (said, given) if mode is not None}
    except ValueError as error:
        raise OptionError(f"autoreset_mode must be one of {modes}: {error}") from error
    if len(found) > 1:
        raise OptionError(f"autoreset_mode={given!r}, and the environments' metadata say {said!r}")
    return found.pop()


def seed_of(envs: VectorEnv[Any, Any, Any], seed: Any, index: int) -> Any:
    """The seed of one environment, where that of the vector says it; else the vector's."""
    if isinstance(seed, int) and isinstance(envs, SyncVectorEnv | AsyncVectorEnv):
        return seed + index
    return seed[index] if isinstance(seed, list | tuple | np.ndarray) else seed


def column(name: str, values: Any, num_envs: int) -> NDArray[Any]:
    """Values for each environment, on the host.

    Raises
    ------
    InputError
        No numbers, or not one for each.
    """
    array = values if type(values) is np.ndarray else as_array(name, None, to_host(values))
    if array.shape[:1] != (num_envs,):
        raise InputError(name, f"one for each of {num_envs} environments", describe(array))
    return array


def info_of(infos: Any, index: int) -> dict[str, Any]:
    """One environment's ``info`` of those that a vector of them returns, or ``DictInfoToList`` around it."""
    if isinstance(infos, list | tuple):
        return dict(infos[index])
    out: dict[str, Any] = {}
    for key, value in infos.items():
        if key.startswith("_"):
            continue
        has: NDArray[np.bool_] | None = infos.get(f"_{key}")
        if has is not None and has[index]:
            out[key] = info_of(value, index) if isinstance(value, dict) else value[index]
        elif has is None and getattr(value, "ndim", None) and index < len(value):
            out[key] = value[index]
    return out
