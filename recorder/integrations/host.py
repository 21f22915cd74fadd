"""What is on a GPU, in the memory of the host."""

from __future__ import annotations

from typing import Any


def to_host(value: Any) -> Any:
    """``value`` itself, or a copy of it where it is a tensor on a GPU: that waits for the GPU."""
    # Without torch's import: whoever gives a tensor has imported it.
    return value.detach().cpu() if getattr(value, "is_cuda", False) else value
