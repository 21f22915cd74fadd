"""Tensors on the CPU, handed on as the arrays that they are: those take the short way through ``log()``."""

from __future__ import annotations

from typing import Any

import numpy as np

Arguments = tuple[Any, Any, Any, Any]
"""``neural_state``, ``spikes``, ``behavior`` and ``reward``."""


def as_arrays(neural_state: Any, spikes: Any, behavior: Any, reward: Any) -> Arguments | None:
    """The arguments with arrays in the place of tensors, sharing their memory.

    None where there is no tensor, or one that is no array as it stands: such a call has to be looked at value
    by value, and is refused in the words of its library.
    """
    if not (_has_tensors(neural_state) or _has_tensors(behavior) or _is_tensor(spikes) or _is_tensor(reward)):
        return None
    try:
        if _is_tensor(reward):
            if reward.ndim or not reward.is_floating_point():
                return None
            reward = float(_array(reward))
        return _group(neural_state), _array(spikes), _group(behavior), reward
    except Exception:
        # Of whatever kind: numpy() is the library's.
        return None


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach") and hasattr(value, "numpy")


def _has_tensors(group: Any) -> bool:
    return isinstance(group, dict) and any(map(_is_tensor, group.values()))


def _group(group: Any) -> Any:
    return {key: _array(value) for key, value in group.items()} if _has_tensors(group) else group


def _array(value: Any) -> Any:
    if not _is_tensor(value):
        return value
    array = value.detach().numpy()
    if type(array) is not np.ndarray:
        raise TypeError
    return array if array.shape else array[()]
