"""What stands between a loader and a file it has no reason to trust.

A small file can claim terabytes, name files of the machine as its storage, or link elsewhere. The
functions here open objects one link at a time, check what they declare before anything is
allocated, and turn the many exceptions of a broken file into :class:`recorder.errors.DamagedError`.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import h5py
import numpy as np

from recorder.errors import DamagedError, FlightrecError
from recorder.format.deflate import INFLATE_ERRORS
from recorder.format.layout import ENCODING, WEIGHTS_CSR
from recorder.h5.disk import NO_FILES
from recorder.h5.reading.budget import (
    BUDGET,
    CREDIBLE_RATIO,
    check_chunk,
    check_memory,
    check_size,
    check_type,
    file_size,
)
from recorder.h5.reading.dataset import StoredDataset, number_type

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

_MAX_DEPTH = 64
_OF_SCALES = (b"DIMENSION_LIST", b"REFERENCE_LIST")

_TEXT: np.dtype[Any] = h5py.string_dtype()
_BOOL: np.dtype[Any] = np.dtype(bool)
_BOOL_STORED = h5py.h5t.py_create(_BOOL, logical=True)


class damage:  # noqa: N801 - used as a verb
    """Turn what a broken file raises into :class:`DamagedError` that names the place, or the object.

    Raises
    ------
    DamagedError
        The block failed on the file's bytes.
    """

    # Not a generator: it is entered many times for each dataset.
    __slots__ = ("_where",)

    def __init__(self, where: Any) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> Literal[False]:
        if isinstance(error, BROKEN) and not isinstance(error, FlightrecError):
            if getattr(error, "errno", None) in NO_FILES:
                return False
            place = self._where if isinstance(self._where, str) else self._where.name
            raise DamagedError(f"{place}: {type(error).__name__}: {error}") from error
        return False


def child(group: Any, name: str, where: str = "") -> Any | None:
    """The group or dataset ``name`` right below ``group``, or None; ``where`` is its path, if that is known.

    Raises
    ------
    DamagedError
        A link to another place, a dataset whose bytes lie outside this file, or of a type that no
        recording holds.
    """
    where = where or f"{group.name.rstrip('/')}/{name}"
    with damage(where):
        if hard_link(group, name, where) is None:
            return None
        return open_child(group, name.encode("utf-8", "surrogateescape"), where)


def hard_link(group: Any, name: str, where: str) -> int | None:
    """Where in the file the object ``name`` right below ``group`` stands; None if there is none.

    Raises
    ------
    DamagedError
        A link to another place.
    """
    with damage(where):
        raw = name.encode("utf-8", "surrogateescape")
        if not raw or not group.id.links.exists(raw):
            return None
        info = group.id.links.get_info(raw)
        if info.type != h5py.h5l.TYPE_HARD:
            raise away(where)
        return int(info.u)


def away(where: str) -> DamagedError:
    """The error of a link to another place."""
    return DamagedError(f"{where}: a link to another place, which no recording holds")


def stored_dataset(group: Any, name: str, where: str) -> StoredDataset | None:
    """The dataset at the hard link ``name`` right below ``group``; None where a group stands.

    Raises
    ------
    DamagedError
        As :class:`StoredDataset`, or it cannot be opened.
    """
    with damage(where):
        found = h5py.h5o.open(group.id, name.encode("utf-8", "surrogateescape"))
        return StoredDataset(found, where) if isinstance(found, h5py.h5d.DatasetID) else None


def open_child(group: Any, name: bytes, where: str) -> Any:
    """As :func:`child`, for the name of a hard link; several times as fast as h5py's ``group[name]``."""
    found = h5py.h5o.open(group.id, name)
    if isinstance(found, h5py.h5d.DatasetID):
        dataset = h5py.Dataset(found, readonly=True)
        if dataset.is_virtual or dataset.external:
            raise DamagedError(f"{where}: its bytes lie outside this file, which no recording's do")
        check_type(found.get_type(), where)
        return dataset
    return h5py.Group(found) if isinstance(found, h5py.h5g.GroupID) else None


def child_group(group: Any, name: str, where: str = "") -> Any | None:
    """As :func:`child`, for a group; None where a dataset stands."""
    item = child(group, name, where)
    return item if isinstance(item, h5py.Group) else None


def child_dataset(group: Any, name: str) -> Any | None:
    """As :func:`child`, for a dataset; None where a group stands."""
    item = child(group, name)
    return item if isinstance(item, h5py.Dataset) else None


def names(group: Any) -> list[str]:
    """Names right below ``group``, sorted.

    Raises
    ------
    DamagedError
        A name with a slash, which HDF5 would take for a path.
    """
    with damage(group.name):
        return sorted(name for name, _ in links(group))


def links(group: Any) -> list[tuple[str, int | None]]:
    """Names right below ``group``, and where the objects stand in the file; None for other links.

    Raises
    ------
    DamagedError
        A name with a slash, which HDF5 would take for a path, or one that is not UTF-8.
    """
    found: list[tuple[bytes, int | None]] = []

    def look(raw: bytes, info: Any) -> None:
        found.append((raw, int(info.u) if info.type == h5py.h5l.TYPE_HARD else None))

    group.id.links.iterate(look, info=True)
    try:
        listed = [(raw.decode("utf-8"), address) for raw, address in found]
    except UnicodeDecodeError as error:
        raise DamagedError(f"{group.name}: the name {error.object[:200]!r} is no text") from error
    for name, _ in listed:
        if "/" in name or not name:
            raise DamagedError(f"{group.name}: the name {name[:200]!r} is a path")
    return listed


def attributes(item: Any) -> dict[str, Any]:
    """The attributes of a group or dataset as Python values.

    Text is ``str``, scalars are Python's own, arrays stay arrays, opaque bytes stay ``numpy.void``,
    empty attributes are None. Which scale a dimension has, and of what, are references, and left out.
    """
    with damage(item):
        raw: list[bytes] = []
        h5py.h5a.iterate(item.id, raw.append)
        return {
            name.decode("utf-8", "surrogateescape"): _attribute(item, name)
            for name in raw
            if name not in _OF_SCALES
        }


def attribute(item: Any, name: str) -> Any:
    """One attribute of a group or dataset as :func:`attributes` gives it; None where there is none."""
    raw = name.encode()
    return _attribute(item, raw) if h5py.h5a.exists(item.id, raw) else None


def check_attribute(item: Any, name: str) -> None:
    """Refuse an attribute of a type that no recording holds, and text that multiplies in memory.

    Raises
    ------
    DamagedError
    """
    attribute = h5py.h5a.open(item.id, name.encode("utf-8", "surrogateescape"))
    if check_type(attribute.get_type(), f"{item.name}, attribute {name!r}"):
        count = attribute.get_space().get_simple_extent_npoints()
        # Each of many texts may be the same long one of the heap.
        if count > 1 and count * file_size(item) > max(BUDGET, CREDIBLE_RATIO * file_size(item)):
            raise DamagedError(f"{item.name}: attribute {name!r} claims {count:,} texts")


def _attribute(item: Any, raw: bytes) -> Any:
    """Of single numbers and texts, which most are, h5py makes several times the work."""
    stored = h5py.h5a.open(item.id, raw)
    kind = stored.get_type()
    form = _form(kind)
    if form is not None and stored.shape == () and stored.get_storage_size():
        value = np.zeros((), form)
        stored.read(value, None if form is _TEXT else kind)
        return plain(value[()])
    name = raw.decode("utf-8", "surrogateescape")
    check_attribute(item, name)
    return plain(item.attrs[name])


def _form(kind: Any) -> np.dtype[Any] | None:
    """NumPy's type for a number, a bool or a text as recordings have them; None for all else."""
    code = kind.get_class()
    if code in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
        return number_type(kind)[0]
    if code == h5py.h5t.STRING:
        if kind.is_variable_str():
            return _TEXT
        return np.dtype(f"S{kind.get_size()}") if kind.get_strpad() == h5py.h5t.STR_NULLPAD else None
    return _BOOL if code == h5py.h5t.ENUM and kind.equal(_BOOL_STORED) else None


def plain(value: Any) -> Any:
    """An attribute's value as the Python object it stands for."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.generic) and not isinstance(value, np.void):
        return value.item()
    return value


def check_tree(group: Any) -> Any:
    """Check everything below ``group`` as :func:`child` and :func:`check_size` do; returns ``group``.

    Nothing may be there twice: a few groups that contain each other are a tree without end.
    """
    seen: set[int] = set()
    total = _check_branch(group, 0, seen)
    if total > CREDIBLE_RATIO * max(file_size(group), 1 << 20):
        check_memory(total, f"{group.name}: claims {total:,} bytes, far more than its file could hold")
    return group


def _check_branch(group: Any, depth: int, seen: set[int]) -> int:
    if depth > _MAX_DEPTH:
        raise DamagedError(f"{group.name[:200]}: nested more than {_MAX_DEPTH} levels")
    with damage(group.name[:200]):
        facts = attributes(group)
        total = dense_bytes(group) if facts.get(ENCODING) == WEIGHTS_CSR else 0
    for name in names(group):
        item = child(group, name)
        check_once(group, name, seen)
        if isinstance(item, h5py.Group):
            total += _check_branch(item, depth + 1, seen)
        elif isinstance(item, h5py.Dataset):
            with damage(item.name):
                nbytes = int(item.nbytes or 0)
                check_size(item, nbytes)
                if item.chunks:
                    check_chunk(item)
                attributes(item)
                total += nbytes
    return total


def dense_bytes(group: Any) -> int:
    """Bytes of a matrix that is stored as compressed rows and was given dense; 0 if it was sparse."""
    facts = attributes(group)
    data = child_dataset(group, "data")
    if facts.get("given", "dense") != "dense" or data is None:
        return 0
    return math.prod(int(n) for n in facts["shape"]) * int(data.dtype.itemsize)


def check_once(group: Any, name: str, seen: set[int]) -> None:
    """Take note of the object ``name`` right below ``group``.

    Raises
    ------
    DamagedError
        It has been seen already.
    """
    with damage(group):
        address = int(group.id.links.get_info(name.encode("utf-8", "surrogateescape")).u)
    if address in seen:
        raise DamagedError(f"{group.name[:200]}/{name}: stands in two places, as nothing in a recording does")
    seen.add(address)
