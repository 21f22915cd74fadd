"""What may enter a recording: values as exact arrays, or a typed error before anything is stored.

Both exporters admit values here, so that both accept and refuse the same things in the same words.
Nothing is cast, broadcast or truncated: lists and foreign arrays become the array NumPy makes of
them, and from then on a stream takes only its first value's dtype and shape.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.conversion import digits_lost, what_is_lost
from recorder.errors import InputError, InvalidNameError, StreamShapeError, StreamTypeError
from recorder.format.layout import OWN_TIMESTEPS, TIMESTEPS

_SAY = "make a NumPy array that says what shall be stored"
MAX_DIMENSIONS = 31
"""HDF5 has 32, and one is time."""
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_KINDS = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}


@dataclass(frozen=True, slots=True)
class StreamType:
    """What every row of a stream is: fixed by the first one."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of one row."""
        return int(self.dtype.itemsize * np.prod(self.shape, dtype=np.int64))

    def __str__(self) -> str:
        return f"{self.dtype.name} of shape {self.shape}" if self.shape else f"{self.dtype.name} scalar"


def admit_timestep(value: Any) -> int:
    """A timestep as an ``int`` within 64 bits.

    Raises
    ------
    InputError
        ``None`` or no integer; a float is refused even when it is whole, because it would be cast.
    """
    if value is None:
        raise InputError("timestep", "an int", "None", hint="timestep is required")
    step = as_index(value)
    if step is None:
        hint = "" if is_bool(value) else "convert it with int()"
        raise StreamTypeError("timestep", "an int", f"{type(value).__name__} {value!r}"[:200], hint=hint)
    if not INT64_MIN <= step <= INT64_MAX:
        raise InputError("timestep", "an integer of 64 bits", str(step))
    return step


def as_index(value: Any) -> int | None:
    """``value`` as an int without any loss; None for bools, floats and everything else that is none."""
    if type(value) is int:
        return value
    try:
        return None if is_bool(value) else operator.index(value)
    except MemoryError:
        raise
    except Exception:
        # Of whatever kind: libraries have their own for arrays that are no single integer.
        return None


def is_bool(value: Any) -> bool:
    """Whether ``value`` is a truth value: Python's, NumPy's or an array library's."""
    return isinstance(value, bool | np.bool_) or str(getattr(value, "dtype", "")).endswith("bool")


def admit_real(stream: str, step: Any, value: Any) -> float:
    """A real number that float64 holds exactly, for rewards and weights.

    Raises
    ------
    StreamTypeError
        Not a real scalar.
    InputError
        An integer that float64 would round.
    """
    if type(value) is float:
        return value
    array = as_array(stream, step, value)
    if array.shape != () or array.dtype.kind not in "biuf":
        raise StreamTypeError(stream, "a real number", describe(array), step=step)
    number = array.item()
    real = float(number)
    if real != number and not math.isnan(real):
        raise InputError(stream, "a number that float64 holds exactly", repr(value), step=step)
    return real


def as_array(stream: str, step: Any, value: Any) -> NDArray[Any]:
    """``value`` as a NumPy array of native byte order; copied only where conversion needs it.

    Accepts arrays, scalars, nested lists, and whatever offers ``__array__`` or DLPack (torch and
    JAX arrays on the CPU; others are refused by their own library's message).

    Raises
    ------
    StreamTypeError
        Text, dates, objects, ragged lists, masked arrays, integers past 64 bits, extended floats; tables
        and lists in whose one dtype a mask, a missing value or digits of an integer would be lost.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise StreamTypeError(
            stream, "an array without a mask", "a masked array", step=step, hint="use .filled()"
        )
    try:
        loss = what_is_lost(value)
        if hasattr(value, "detach") and hasattr(value, "numpy"):
            value = value.detach()
        array = np.asarray(value)
        loss = loss or digits_lost(value, array)
    except MemoryError:
        raise
    except Exception as error:
        # Of whatever kind: __array__ runs other people's code.
        raise StreamTypeError(
            stream, "numbers in an array, a list or a scalar", f"{type(value).__name__} ({error})", step=step
        ) from error
    if loss:
        raise StreamTypeError(
            stream, "numbers of one dtype", f"{type(value).__name__} with {loss}", step=step, hint=_SAY
        )
    if array.dtype.itemsize not in _KINDS.get(array.dtype.kind, ()):
        raise StreamTypeError(
            stream,
            "bool, integers to 64 bits, floats of 16 to 64 bits or complex numbers",
            f"{type(value).__name__} of dtype {array.dtype}",
            step=step,
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.aligned:
        array = array.copy()
    plain = np.dtype(array.dtype.str)
    # C has two names for an integer of 64 bits, and a memoryview tells them apart.
    return array if array.dtype.char == plain.char else array.view(plain)


def learn(stream: str, step: Any, value: Any, *, inexact: bool = False) -> tuple[StreamType, NDArray[Any]]:
    """The type that a stream's first value fixes, and that value as an array.

    ``inexact`` says that it will be rounded, which takes floats.
    """
    array = as_array(stream, step, value)
    if array.size == 0:
        raise StreamShapeError(stream, "a row with at least one element", describe(array), step=step)
    if array.ndim > MAX_DIMENSIONS:
        raise StreamShapeError(stream, f"at most {MAX_DIMENSIONS} dimensions", describe(array), step=step)
    if inexact and array.dtype.kind not in "fc":
        raise StreamTypeError(stream, "floats, which precision= can round", describe(array), step=step)
    return StreamType(stream, array.dtype, array.shape), array


def admit(kind: StreamType, step: Any, value: Any) -> NDArray[Any]:
    """A later value of a stream, of exactly its dtype and shape.

    Raises
    ------
    StreamTypeError, StreamShapeError
    """
    array = as_array(kind.name, step, value)
    if array.dtype != kind.dtype:
        raise StreamTypeError(
            kind.name,
            f"{kind} (fixed by the stream's first value)",
            describe(array),
            step=step,
            hint=dtype_hint(kind.dtype, array.dtype),
        )
    if array.shape != kind.shape:
        raise StreamShapeError(
            kind.name, f"{kind} (fixed by the stream's first value)", describe(array), step=step
        )
    return array


def admit_key(group: str, key: Any) -> str:
    """A stream's key as an HDF5 link name.

    Raises
    ------
    InvalidNameError
        No text, empty, with ``/`` or NUL, ``.``, invalid Unicode, longer than 255 bytes, or one
        of the names the layout keeps: ``timesteps`` and everything that ends in ``_timesteps``.
    """
    admit_name(group, key)
    if key == TIMESTEPS or key.endswith(OWN_TIMESTEPS):
        raise InvalidNameError(
            group,
            "a key other than 'timesteps' or '…_timesteps'",
            repr(key),
            hint="the layout keeps these for the timesteps themselves",
        )
    return str(key)


def admit_name(where: str, name: Any) -> str:
    """A name as one HDF5 link; see :func:`admit_key` for what is refused."""
    if not isinstance(name, str):
        raise InvalidNameError(where, "a name as str", f"{type(name).__name__} {name!r}")
    bad = not name or "/" in name or "\0" in name or name in (".", "..")
    try:
        bad = bad or len(name.encode()) > 255
    except UnicodeEncodeError:
        bad = True
    if bad:
        raise InvalidNameError(
            where, "a name of 1 to 255 UTF-8 bytes without '/' or NUL, not '.' or '..'", repr(name)[:80]
        )
    return name


def describe(array: NDArray[Any]) -> str:
    """dtype and shape in the words of an error message."""
    return f"{array.dtype.name} of shape {array.shape}" if array.shape else f"{array.dtype.name} scalar"


def dtype_hint(expected: np.dtype[Any], got: np.dtype[Any]) -> str:
    """What to do about a value of another dtype than its stream's."""
    if expected.kind in "iub" and got.kind == "f":
        return "the first value was no float: log floats from the start (0.0 instead of 0)"
    if expected.kind == "f" and got.kind in "iub":
        return "convert it with float(), so that nothing is cast silently"
    return f"convert it with .astype({str(expected)!r}) if that is what you mean"
