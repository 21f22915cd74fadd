"""Bytes on the disk: room for them, and all of them."""

from __future__ import annotations

import errno
import os

NO_FILES = (errno.EMFILE, errno.ENFILE)
"""As many files are open as may be, which says nothing of the one that was to be opened."""
_CANNOT = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def allocate(descriptor: int, start: int, size: int) -> None:
    """Have room for these bytes, where the file system can promise that.

    Raises
    ------
    OSError
        There is none.
    """
    try:
        os.posix_fallocate(descriptor, start, size)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of it: a disk that fills up takes a part first, and refuses the rest when asked again.

    Raises
    ------
    OSError
        It could not be written, or only a part.
    """
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
