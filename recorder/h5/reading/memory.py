"""Memory for chunks, which come and go by the hundred."""

from __future__ import annotations

import numpy as np

from recorder.h5.chunking import MAX_CHUNK_BYTES

_BLOCK = 4 * MAX_CHUNK_BYTES


def reuse_memory() -> None:
    """Have the C library use the memory of a chunk for the next one; costs some microseconds.

    glibc maps each block beyond a threshold by itself and gives it back when it is freed, so that every chunk
    would be paid for page by page, which takes longer than to inflate it. The threshold is the largest block
    that was freed so far. Elsewhere this does nothing.
    """
    np.empty(_BLOCK, np.uint8)
