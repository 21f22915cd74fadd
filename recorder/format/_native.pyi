from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

INTERFACE: int

class Chunk(Buffer):
    def __len__(self) -> int: ...

def encode(
    parts: tuple[NDArray[Any], ...], rows: int, row_bytes: int, width: int, worth: int, later: bool, /
) -> Chunk: ...
def start(threads: int, /) -> None: ...
def cells(raster: NDArray[Any], /) -> NDArray[np.int64]: ...
