from typing import Any

INTERFACE: int

def seal(blocks: bytearray, lengths: Any, /) -> None: ...
