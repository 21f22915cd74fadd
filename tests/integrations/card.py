"""A stand-in for torch on a GPU: copies happen as late as they may, when their event is waited for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np


class Card:
    """A stream of work that is done when somebody waits for it, and not before."""

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []
        self.done = self.waited = self.pinned = 0
        self.cuda = SimpleNamespace(Event=lambda: Event(self), current_stream=lambda _: self)

    def empty(self, shape: tuple[int, ...], dtype: Any, pin_memory: bool) -> Host:
        self.pinned += pin_memory
        return Host(self, shape, dtype)

    def tensor(self, values: Any, dtype: Any = np.float32) -> Any:
        array = np.array(values, dtype)
        tensor = SimpleNamespace(is_cuda=True, device=0, array=array, dtype=array.dtype, shape=array.shape)
        tensor.detach = lambda: tensor
        return tensor

    def set(self, tensor: Any, values: Any) -> None:
        """In place, in the order of the stream."""
        self.queue.append(lambda: tensor.array.__setitem__(..., values))


class Event:
    def __init__(self, card: Card) -> None:
        self.card, self.at = card, 0

    def record(self, stream: Card) -> None:
        self.at = len(stream.queue)

    def synchronize(self) -> None:
        self.card.waited += 1
        while self.card.done < self.at:
            self.card.queue[self.card.done]()
            self.card.done += 1


class Host:
    def __init__(self, card: Card, shape: tuple[int, ...], dtype: Any) -> None:
        self.card, self.shape, self.dtype = card, shape, dtype
        self.array = np.full(shape, 99, dtype)

    def copy_(self, source: Any, non_blocking: bool) -> None:
        assert non_blocking
        self.card.queue.append(lambda: self.array.__setitem__(..., source.array))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array
