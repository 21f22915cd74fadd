"""What stands between a loader and a file it has no reason to trust.

A small file can claim terabytes, name files of the machine as its storage, or link elsewhere. The
functions here open objects one link at a time, check what they declare before anything is
allocated, and turn the many exceptions of a broken file into :class:`recorder.errors.DamagedError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np

from recorder.errors import DamagedError, FlightrecError
from recorder.format.deflate import INFLATE_ERRORS

BROKEN: tuple[type[Exception], ...] = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    OverflowError,
    *INFLATE_ERRORS,
)
"""What h5py, NumPy and the codecs raise on bytes that do not say what they must."""

CREDIBLE_RATIO = 64
"""A claim of more than this many times the file's size must at least fit the memory at hand."""
_MAX_DEPTH = 64


@contextmanager
def damage(where: str) -> Iterator[None]:
    """Turn what a broken file raises into :class:`DamagedError` that names the place.

    Raises
    ------
    DamagedError
        The block failed on the file's bytes.
    """
    try:
        yield
    except FlightrecError:
        raise
    except BROKEN as error:
        raise DamagedError(f"{where}: {type(error).__name__}: {error}") from error


def child(group: Any, name: str) -> Any | None:
    """The group or dataset ``name`` right below ``group``, or None.

    Raises
    ------
    DamagedError
        A link to another place, or a dataset whose bytes lie outside this file.
    """
    where = f"{group.name.rstrip('/')}/{name}"
    with damage(where):
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise DamagedError(f"{where}: a link to another place, which no recording holds")
        item = group[name]
        if isinstance(item, h5py.Dataset):
            _check_local(item)
        return item


def child_group(group: Any, name: str) -> Any | None:
    """As :func:`child`, for a group; None where a dataset stands."""
    item = child(group, name)
    return item if isinstance(item, h5py.Group) else None


def child_dataset(group: Any, name: str) -> Any | None:
    """As :func:`child`, for a dataset; None where a group stands."""
    item = child(group, name)
    return item if isinstance(item, h5py.Dataset) else None


def names(group: Any) -> list[str]:
    """Names right below ``group``, sorted."""
    with damage(group.name):
        return sorted(group)


def attributes(item: Any) -> dict[str, Any]:
    """The attributes of a group or dataset as Python values.

    Text is ``str``, scalars are Python's own, arrays stay arrays, opaque bytes stay ``numpy.void``,
    empty attributes are None.
    """
    with damage(f"attributes of {item.name}"):
        return {name: plain(item.attrs[name]) for name in item.attrs}


def plain(value: Any) -> Any:
    """An attribute's value as the Python object it stands for."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.generic) and not isinstance(value, np.void):
        return value.item()
    return value


def check_size(dataset: Any, nbytes: int) -> None:
    """Refuse to allocate what the file cannot plausibly hold.

    Raises
    ------
    DamagedError
        ``nbytes`` is more than ``CREDIBLE_RATIO`` times the file and more than the free memory.
    """
    if nbytes <= CREDIBLE_RATIO * max(int(dataset.file.id.get_filesize()), 1 << 20):
        return
    import psutil

    available = psutil.virtual_memory().available
    if nbytes > available:
        raise DamagedError(
            f"{dataset.name}: claims {nbytes:,} bytes, far more than its file could hold "
            f"and than the {available:,} bytes of memory at hand"
        )


def check_tree(group: Any, depth: int = 0) -> Any:
    """Check everything below ``group`` as :func:`child` and :func:`check_size` do; returns ``group``."""
    if depth > _MAX_DEPTH:
        raise DamagedError(f"{group.name[:200]}: nested more than {_MAX_DEPTH} levels")
    for name in names(group):
        item = child(group, name)
        if isinstance(item, h5py.Group):
            check_tree(item, depth + 1)
        elif isinstance(item, h5py.Dataset):
            with damage(item.name):
                check_size(item, int(item.nbytes))
    return group


def _check_local(dataset: Any) -> None:
    if dataset.is_virtual or dataset.id.get_create_plist().get_external_count():
        raise DamagedError(f"{dataset.name}: its bytes lie outside this file, which no recording's do")
