from collections.abc import Callable
from typing import Any

INTERFACE: int

class Log:
    def __new__(
        cls,
        admit: Callable[..., Any],
        indices: Callable[..., Any],
        concurrent: Callable[..., Any],
        fall_back: tuple[type[BaseException], ...],
        spike_indices: type,
        signature: Any,
        record: int,
        streams: tuple[tuple[Any, ...], ...],
        /,
    ) -> Log: ...
    def __call__(
        self,
        timestep: Any = None,
        neural_state: Any = None,
        spikes: Any = None,
        behavior: Any = None,
        reward: Any = None,
        **more: Any,
    ) -> None: ...
    def attach(self, memory: tuple[Any, ...], numbers: tuple[int, ...], /) -> None: ...
    def retire(self) -> None: ...
    def position(self) -> tuple[Any, ...]: ...
    def running(self) -> bool: ...

class Front:
    def __new__(cls, wrapped: Callable[..., None], /) -> Front: ...
    def __call__(self, *args: Any, **keywords: Any) -> None: ...
    def aim(self, target: Callable[..., None], /) -> None: ...
    @property
    def __wrapped__(self) -> Callable[..., None]: ...
