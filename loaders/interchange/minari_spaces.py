"""Gymnasium's spaces of what a recording has, and whether values are in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from loaders.interchange.columns import columns
from recorder.errors import ExportError, OptionError

if TYPE_CHECKING:
    from loaders.episode import EpisodeData

Named = str | Mapping[str, str]


def each(named: Named, of: Callable[[str], Any]) -> Any:
    """What ``of`` gives for a stream, or for each of several under their names."""
    return of(named) if isinstance(named, str) else {key: of(name) for key, name in named.items()}


def spaces_of_environment(gymnasium: Any, environment: Any) -> tuple[Any, Any]:
    """The spaces of observations and actions of what ``create_dataset_from_buffers`` takes as ``env``.

    Raises
    ------
    OptionError
        Gymnasium cannot make it.
    """
    if isinstance(environment, gymnasium.Env):
        return environment.observation_space, environment.action_space
    try:
        made = gymnasium.make(environment)
    except Exception as error:  # the environment's own code runs
        raise OptionError(f"environment: Gymnasium cannot make {environment!r}: {error}") from error
    made.close()
    return made.observation_space, made.action_space


def space(gymnasium: Any, episode: EpisodeData, named: Named) -> Any:
    """Boxes without bounds, in the dtype of the streams."""
    found = each(named, lambda name: _box(gymnasium, episode, name))
    return gymnasium.spaces.Dict(found) if isinstance(found, dict) else found


def _box(gymnasium: Any, episode: EpisodeData, name: str) -> Any:
    _, column = columns(episode, name).values()
    shape, dtype = column.shape[1:], column.dtype
    if dtype.kind not in "iuf":
        raise OptionError(
            f"{name} is {dtype}: say in which space it is, by observation_space or action_space"
        )
    limits = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return gymnasium.spaces.Box(*limits, shape, dtype.type)


def check_inside(gymnasium: Any, space: Any, values: Any, what: str) -> None:
    """Raise ExportError unless all rows are in a space. NaN, which is in no box, may be in one here."""
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Dict) or isinstance(values, dict):
        if not isinstance(space, spaces.Dict) or not isinstance(values, dict) or set(values) != set(space):
            raise ExportError(f"{what}: {_kind(values)}, and the space is {space}")
        for key, own in values.items():
            check_inside(gymnasium, space[key], own, f"{what} {key!r}")
        return
    if isinstance(space, spaces.Box):
        inside = values.shape[1:] == space.shape and np.can_cast(values.dtype, space.dtype)
        inside = inside and not ((values < space.low) | (values > space.high)).any()
    elif isinstance(space, spaces.Discrete):
        inside = values.ndim == 1 and values.dtype.kind in "iu"
        inside = inside and bool(((values >= space.start) & (values < space.start + space.n)).all())
    else:
        inside = all(space.contains(row) for row in values)
    if not inside:
        raise ExportError(f"{what}: {_kind(values)}, not all of them in the space {space}")


def _kind(values: Any) -> str:
    if isinstance(values, dict):
        return f"rows of {', '.join(values)}"
    return f"rows of {values.dtype} {values.shape[1:]}"
