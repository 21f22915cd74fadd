"""Documents: JSON from which values of any nesting come back with their Python types.

The table of types is section 3 of the file specification. What JSON has a type for stands for
itself; everything else is an object with one key that begins with ``$``. Encode and decode of each
type stand side by side in ``_TAGGED`` and in the two functions for NumPy.

Not exact on purpose: subclasses (``OrderedDict``, named tuples) come back as the built-in type they
extend, other mappings as ``dict``, pure paths as :class:`~pathlib.Path`, time zones as fixed
offsets, and ``fold`` of times without a zone is lost. Refused rather than guessed: enumerations
(their class cannot be stored: give ``.value``), structured, masked and object arrays, arrays with
units, and objects of unknown types.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from recorder.errors import DamagedError, InputError

MAX_DEPTH = 100
"""Nesting beyond this is refused: readers in other languages have limits of their own."""

_DTYPE = re.compile(r"[<>|][biufcSUmMV]\d+(\[\w+\])?")
_PLAIN = frozenset({str, int, float, bool, type(None)})
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)
_SAFE_BITS = 2000
_FOREIGN = 2
"""``isbuiltin`` of dtypes that other libraries registered, such as bfloat16."""
_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_JSON = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"), check_circular=False)


def dumps(value: Any, where: str = "document") -> bytes:
    """``value`` as the ASCII bytes of a document.

    ``where`` begins the path that error messages name. Sets are stored in the order of their
    encoded members, so equal values give equal bytes.

    Raises
    ------
    InputError
        A value without a place in a document, at the named path: see the module's description;
        also cycles, nesting beyond ``MAX_DEPTH``, integers beyond Python's limit of digits and
        text whose surrogate pairs are split into two characters.
    """
    return _JSON.encode(_encode(value, where, ())).encode("ascii")


def loads(data: bytes) -> Any:
    """The value of a document; arrays are fresh, writable and in C order.

    Raises
    ------
    DamagedError
        The bytes are no document.
    """
    try:
        return _decode(json.loads(bytes(data).decode("utf-8"), parse_constant=_no_constant))
    except DamagedError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, MemoryError) as error:
        raise DamagedError(f"no document: {type(error).__name__}: {error}") from error


def _plain(value: Any, where: str) -> Any:
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return {"$float": repr(value)}
    if kind is str and not value.isascii() and _SPLIT_PAIR.search(value):
        raise InputError(where, "valid Unicode", "a surrogate pair split into two characters")
    if kind is int and value.bit_length() > _SAFE_BITS:
        try:
            str(value)
        except ValueError as error:
            raise InputError(where, "an integer that can be written in decimal", str(error)) from error
    return value


def _item(value: Any, where: str, form: str, part: Any, above: tuple[int, ...]) -> Any:
    # Most members need no path: building one costs more than encoding them.
    kind = type(value)
    if kind is bool or value is None or (kind is float and math.isfinite(value)):
        return value
    return _encode(value, where + form.format(part), above)


def _encode(value: Any, where: str, above: tuple[int, ...]) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return _plain(value, where)
    if isinstance(value, np.generic):
        return _encode_scalar(value, where)
    if isinstance(value, np.ndarray):
        return _encode_array(value, where)
    if isinstance(value, enum.Enum):
        raise InputError(where, "a value", f"the enumeration member {value!r}", hint="give its .value")
    if kind in _TAGGED:
        return _TAGGED[kind][1](value, where)
    # SciPy's dok matrices are dicts, and more than that.
    if isinstance(value, dict | list | tuple | set | frozenset | Mapping) and not hasattr(value, "dtype"):
        if id(value) in above or len(above) >= MAX_DEPTH:
            what = "itself again" if id(value) in above else f"more than {MAX_DEPTH} levels"
            raise InputError(where, "a finite tree of values", what)
        return _encode_container(value, where, (*above, id(value)))
    if isinstance(value, PurePath):
        return {"$path": _plain(str(value), where)}
    for base, exact in _BASES:
        if isinstance(value, base):
            return _plain(exact(value), where)
    raise InputError(
        where,
        "JSON types, tuples, sets, bytes, complex, paths, dates and times, NumPy arrays and scalars",
        f"{kind.__module__}.{kind.__qualname__}",
        hint="convert it, for instance with str(), numpy.asarray() or dataclasses.asdict()",
    )


def _encode_container(value: Any, where: str, above: tuple[int, ...]) -> Any:
    if isinstance(value, list | tuple):
        items = [_item(item, where, "[{}]", i, above) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, set | frozenset):
        members = [_item(item, where, "{{{!r}}}", item, above) for item in value]
        return {"$set" if isinstance(value, set) else "$frozenset": sorted(members, key=_JSON.encode)}
    pairs = [(key, _item(item, where, ".{}", key, above)) for key, item in value.items()]
    if all(type(key) is str and not key.startswith("$") for key, _ in pairs):
        return {_plain(key, where): item for key, item in pairs}
    return {"$dict": [[_encode(key, f"key {key!r} of {where}", above), item] for key, item in pairs]}


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not any(key.startswith("$") for key in value):
        return {key: _decode(item) for key, item in value.items()}
    if len(value) != 1:
        raise DamagedError(f"no document: an object with a tag and more: {sorted(value)[:3]}")
    ((tag, item),) = value.items()
    if tag not in _DECODERS:
        raise DamagedError(f"no document: unknown tag {tag[:40]!r}")
    return _DECODERS[tag](item)


def _no_constant(text: str) -> Any:
    raise DamagedError(f"no document: {text} is no JSON")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except binascii.Error as error:
        raise DamagedError(f"no document: {error}") from error


def _time(value: time, where: str) -> dict[str, Any]:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise InputError(where, "a time with a fixed offset", repr(value), hint="its zone needs a date")
    return {"$time": value.isoformat()}


def _complex(item: list[Any]) -> complex:
    real, imaginary = (_decode(part) for part in item)
    return complex(float(real), float(imaginary))


_TAGGED: dict[type, tuple[str, Callable[[Any, str], Any], Callable[[Any], Any]]] = {
    bytes: ("$bytes", lambda v, _: {"$bytes": _base64(v)}, _unbase64),
    complex: ("$complex", lambda v, w: {"$complex": [_plain(v.real, w), _plain(v.imag, w)]}, _complex),
    datetime: ("$datetime", lambda v, _: {"$datetime": v.isoformat()}, datetime.fromisoformat),
    date: ("$date", lambda v, _: {"$date": v.isoformat()}, date.fromisoformat),
    time: ("$time", _time, time.fromisoformat),
    timedelta: (
        "$timedelta",
        lambda v, _: {"$timedelta": [v.days, v.seconds, v.microseconds]},
        lambda item: timedelta(*item),
    ),
}


def _check_dtype(dtype: np.dtype[Any], where: str) -> None:
    # A dtype of another library has a name that NumPy reads as something else, or not at all.
    if not _DTYPE.fullmatch(dtype.str) or dtype.names is not None or dtype.isbuiltin == _FOREIGN:
        raise InputError(
            where,
            "bool, numbers, text, bytes or dates as dtype",
            f"dtype {dtype}",
            hint="give the fields of a structured array one by one" if dtype.names else "",
        )


def _encode_array(array: np.ndarray[Any, Any], where: str) -> dict[str, Any]:
    if type(array) not in (np.ndarray, np.memmap):
        kind = type(array)
        hint = "numpy.asarray() or .filled() says what shall be stored"
        raise InputError(where, "a plain NumPy array", f"{kind.__module__}.{kind.__qualname__}", hint=hint)
    _check_dtype(array.dtype, where)
    data = {"dtype": array.dtype.str, "shape": list(array.shape), "data": _base64(array.tobytes())}
    return {"$array": data}


def _decode_array(item: dict[str, Any]) -> np.ndarray[Any, Any]:
    dtype, data, shape = _stored_dtype(item["dtype"]), _unbase64(item["data"]), item["shape"]
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise DamagedError("no document: an array without a shape")
    if len(data) != dtype.itemsize * math.prod(shape):
        raise DamagedError(f"no document: {len(data)} bytes for {item['dtype']} of shape {tuple(shape)}")
    array = np.empty(shape, dtype)
    if data:
        array.reshape(-1)[:] = np.frombuffer(data, dtype)
    return array


def _encode_scalar(value: np.generic, where: str) -> dict[str, Any]:
    _check_dtype(value.dtype, where)
    # NumPy text ends at its trailing NULs only inside arrays: a scalar has its own length.
    if isinstance(value, np.str_):
        raw = str.__str__(value).encode("utf-32-le", "surrogatepass")
        return {"$scalar": {"dtype": f"<U{len(raw) // 4}", "data": _base64(raw)}}
    raw = bytes(value) if isinstance(value, np.bytes_) else value.tobytes()
    return {"$scalar": {"dtype": value.dtype.str, "data": _base64(raw)}}


def _decode_scalar(item: dict[str, Any]) -> Any:
    dtype, data = _stored_dtype(item["dtype"]), _unbase64(item["data"])
    if len(data) != dtype.itemsize:
        raise DamagedError(f"no document: {len(data)} bytes for a scalar {item['dtype']}")
    if dtype.kind == "U":
        return np.str_(data.decode("utf-32-be" if dtype.str[0] == ">" else "utf-32-le", "surrogatepass"))
    if dtype.kind == "S":
        return np.bytes_(data)
    return np.frombuffer(data, dtype)[0] if data else np.zeros((), dtype)[()]


def _stored_dtype(text: str) -> np.dtype[Any]:
    if not _DTYPE.fullmatch(text):
        raise DamagedError(f"no document: dtype {text[:40]!r}")
    return np.dtype(text)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$float": {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}.__getitem__,
    "$tuple": lambda item: tuple(_decode(item)),
    "$set": lambda item: set(_decode(item)),
    "$frozenset": lambda item: frozenset(_decode(item)),
    "$dict": lambda item: {_decode(key): _decode(value) for key, value in item},
    "$path": Path,
    "$array": _decode_array,
    "$scalar": _decode_scalar,
    **{tag: decode for tag, _, decode in _TAGGED.values()},
}
