"""Attributes and documents of objects, encode beside decode.

What stands in an object's header has HDF5's checksum. Longer attributes lie in a heap that has none:
documents there bring a CRC-32 of their own.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5o, h5s
from numpy.typing import NDArray

from recorder.errors import DamagedError, InputError
from recorder.format.document import dumps, loads
from recorder.format.layout import ATTRIBUTE_LIMIT
from recorder.h5 import make
from recorder.h5.reading.guard import attributes, damage
from recorder.h5.tree import mirrors

_MIRRORED = 256
_CHECK = "_crc32"
"""Ends the name of the attribute that says what a long document sums up to."""


def plan_document(where: str, value: Any) -> tuple[dict[str, Any], bytes]:
    """A mapping, and the bytes of its document.

    Raises
    ------
    InputError
        No mapping, or something in it that no document holds.
    """
    if not isinstance(value, Mapping):
        raise InputError(where, "a dict", type(value).__name__)
    plain = dict(value)
    return plain, dumps(plain, where)


def put_document(target: Any, name: str, data: bytes) -> None:
    """Store a document's bytes as an attribute, which may have any length."""
    if len(data) <= ATTRIBUTE_LIMIT:
        make.attribute(target, name, data)
    else:
        # Too long for a header: HDF5 puts such attributes into a heap, and h5py has them so.
        put_vector(target, name, np.frombuffer(data, np.uint8))
        make.attribute(target, f"{name}{_CHECK}", np.uint32(zlib.crc32(data)))


def get_document(facts: Mapping[str, Any], name: str) -> Any:
    """The value of a document among an object's attributes; None where there is none.

    Raises
    ------
    DamagedError
    """
    data = facts.get(name)
    if data is None:
        return None
    whole = data.encode() if isinstance(data, str) else np.asarray(data).tobytes()
    check = facts.get(f"{name}{_CHECK}")
    if check is not None and check != zlib.crc32(whole):
        raise DamagedError(f"its {name} of {len(whole):,} bytes are not those that were stored")
    return loads(whole)


def put_mirrors(target: Any, prefix: str, values: Mapping[str, Any]) -> None:
    """Plain entries as attributes of their own: for the eye, and for programs that know no documents."""
    count = 0
    for key, value in values.items():
        if isinstance(key, str) and mirrors(key) and mirrors(value) and count < _MIRRORED:
            plain: Any = str.__str__(value) if isinstance(value, str) else np.asarray(value)[()]
            make.attribute(target, f"{prefix}{str.__str__(key)}", plain)
            count += 1


def get_mirrors(facts: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Entries of an object that has no document, as older files have them."""
    return {name.removeprefix(prefix): value for name, value in facts.items() if name.startswith(prefix)}


def put_vector(target: Any, name: str, values: NDArray[Any]) -> None:
    """An attribute of one dimension."""
    values = np.ascontiguousarray(values)
    kind = make.type_of(values.dtype)
    made = h5a.create(target, name.encode(), kind, h5s.create_simple(values.shape))
    if values.size:
        made.write(values, mtype=kind)


def put_shape(target: Any, shape: tuple[int, ...], name: str = "shape") -> None:
    """The attribute ``shape``, int64."""
    put_vector(target, name, np.array(shape, np.int64))


def put_texts(target: Any, name: str, texts: list[str]) -> None:
    """An attribute of several texts."""
    cells = np.empty(len(texts), object)
    cells[:] = texts
    kind = make.text_type()
    made = h5a.create(target, name.encode(), kind, h5s.create_simple(cells.shape))
    if texts:
        made.write(cells, mtype=h5py.h5t.py_create(h5py.string_dtype()))


def facts_of(parent: Any, name: str, where: str) -> dict[str, Any]:
    """The attributes of a group or dataset as Python values.

    Raises
    ------
    DamagedError
    """
    with damage(where):
        found = h5o.open(parent, name.encode())
        return attributes(h5py.Dataset(found) if isinstance(found, h5py.h5d.DatasetID) else h5py.Group(found))
