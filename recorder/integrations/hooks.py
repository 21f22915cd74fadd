"""Forward hooks that torch.compile and copies of a network can live with."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any


class Hook:
    """Calls ``call(module, output)`` after a module's forward pass; a copy of the module has one that rests.

    A compiled network leaves its graph for the call: what it does cannot be traced.
    """

    __slots__ = ("_call", "_compiler")

    def __init__(self, call: Callable[[Any, Any], None]) -> None:
        self._call = call
        compiler = getattr(sys.modules.get("torch"), "compiler", None)
        self._compiler = compiler if hasattr(compiler, "is_compiling") else None

    def __call__(self, module: Any, arguments: Any, output: Any) -> None:  # noqa: ARG002
        if self._compiler is not None and self._compiler.is_compiling():
            # Here and not before: disable() imports the whole compiler, which takes seconds.
            self._compiler.disable(self._call)(module, output)
        else:
            self._call(module, output)

    def __reduce__(self) -> Any:
        # Something that takes three arguments, does nothing, and can be loaded where flightrec is not.
        return getattr, (contextlib.nullcontext(), "__exit__")
