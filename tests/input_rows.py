"""The table of :mod:`tests.test_inputs`: values in every place that takes one, and whole calls."""

from __future__ import annotations

import array
import datetime
import decimal
import enum
import fractions
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from recorder import InputError, StreamShapeError, StreamTypeError

Call = Callable[[Any, Any], Any]
ALL = ("caller", "thread", "batch", "standard")


@dataclass(frozen=True)
class Refused:
    """The error that must be raised, and what its message says."""

    kind: type[Exception]
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Try:
    """One call of a value, and what must come of it."""

    call: Call
    expected: Any
    read: Callable[[Any], Any] = lambda _: None
    stream: str = ""
    step: int | None = None
    """Of the calls of log(): when stored, ``x`` and a reward stand at this timestep."""


@dataclass(frozen=True)
class Row:
    """One input."""

    name: str
    make: Callable[[], Any] | None
    tries: Callable[[int], list[Try]]
    needs: str = ""
    kinds: tuple[str, ...] = ALL
    options: dict[str, Any] = field(default_factory=dict)


NO = Refused(StreamTypeError)
"""For streams: no numbers that HDF5 has a place for."""
NO_DOCUMENT = Refused(InputError, ("value",))
SAME = object()
"""A document must give back what went in."""


def first(name: str) -> Callable[[Any], Any]:
    """The value of a stream that has one row."""
    return lambda loader: loader.get_episode(0).stream(name).read()


def final(loader: Any) -> Any:
    return loader.get_episode(0).get_final_state()


def value_tries(
    stream: Any, real: Any, document: Any, tree: Any, make: Callable[[], Any]
) -> Callable[[int], list[Try]]:
    """The value in every place: streams, real numbers, documents and trees."""

    def tries(_: int) -> list[Try]:
        rows = stream if isinstance(stream, Refused) else np.asarray(stream)[None]
        number = real if isinstance(real, Refused) else np.array([real], float)
        same = (
            document if isinstance(document, Refused) else {"value": make() if document is SAME else document}
        )
        kept = tree if isinstance(tree, Refused) else {"value": tree}
        out = [
            Try(
                lambda s, v: s.log(1001, behavior={"x": 1.0, "value": v}, reward=1.0),
                rows,
                first("behavior/value"),
                "behavior/value",
                1001,
            ),
            Try(
                lambda s, v: s.log(1002, neural_state={"value": v}, behavior={"x": 1.0}, reward=1.0),
                rows,
                first("neural_states/value"),
                "neural_states/value",
                1002,
            ),
            Try(
                lambda s, v: s.log(1003, behavior={"x": 1.0}, reward=v),
                number,
                lambda loader: loader.get_episode(0).get_rewards(1003, 1004)["rewards"],
                "rewards",
                1003,
            ),
            Try(
                lambda s, v: s.log(
                    1004, behavior={"x": 1.0}, reward=1.0, synapse_id=1, old_weight=v, new_weight=0.0
                ),
                number,
                lambda loader: loader.get_episode(0).get_weight_changes()["old_weights"],
                "weight_changes",
                1004,
            ),
            Try(
                lambda s, v: s.log(1005, behavior={"x": 1.0}, reward=1.0, event_type="e", data={"value": v}),
                same,
                lambda loader: next(loader.get_episode(0).iter_events())[2],
                "events",
                1005,
            ),
            Try(lambda s, v: s.exporter.save_config({"value": v}), same, lambda loader: loader.get_config()),
            Try(
                lambda s, v: s.exporter.save_metadata({"value": v}),
                same,
                lambda loader: {"value": loader.get_metadata()["value"]},
            ),
            Try(
                lambda s, v: s.exporter.save_checkpoint("c", {"value": v}),
                kept,
                lambda loader: next(iter(loader.get_all_checkpoints().values())),
            ),
            Try(
                lambda s, v: s.exporter.save_network_structure({"value": v}, {"value": v}),
                kept,
                lambda loader: loader.get_network_structure()["connections"],
            ),
            Try(
                lambda s, v: s.exporter.log_static_episode_data("static", {"value": v}),
                kept,
                lambda loader: loader.get_episode(0).get_static_data("static"),
            ),
            Try(lambda s, v: s.exporter.current_episode.end(final_state={"value": v}), kept)
            if isinstance(kept, Refused)
            else Try(
                lambda s, v: s.exporter.end_episode(summary={"value": v}),
                same,
                lambda loader: {"value": loader.get_episode_summary(0)["value"]},
            ),
        ]
        # What is no number is refused twice in an end: as a final state above, and as a summary.
        if isinstance(same, Refused) and not isinstance(kept, Refused):
            out[-1] = Try(lambda s, v: s.exporter.end_episode(summary={"value": v}), same)
            out.append(
                Try(lambda s, v: s.exporter.current_episode.end(final_state={"value": v}), kept, final)
            )
        return out

    return tries


def row(
    name: str,
    make: Callable[[], Any],
    stream: Any = NO,
    real: Any = NO,
    document: Any = NO_DOCUMENT,
    tree: Any = None,
    needs: str = "",
    kinds: tuple[str, ...] = ALL,
) -> Row:
    """A value; ``tree`` is by default what streams make of it, or else what documents do."""
    if tree is None:
        # Streams take no arrays without elements and none past 31 dimensions, trees do.
        tree = document if document is not SAME else make()
        tree = tree if isinstance(stream, Refused) else np.asarray(stream)[()]
    return Row(name, make, value_tries(stream, real, document, tree, make), needs, kinds)


def of(module: str, expression: str) -> Callable[[], Any]:
    """A value of an optional library, made when it is needed."""

    def make() -> Any:
        names = {"m": import_module(module), "np": np}
        if module == "jax":
            names["m"].config.update("jax_enable_x64", True)
            names["j"] = import_module("jax.numpy")
        return eval(expression, names)

    return make


def f8(*numbers: float) -> Any:
    return np.array(numbers, float)


class WithArray:
    """An object that offers ``__array__``."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return f8(1.5, 2.5)


class Failing:
    """An object whose ``__array__`` fails in its own way."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise KeyError("inside")


class Kind(enum.IntEnum):
    """An enumeration."""

    ONE = 1


class Int(int):
    """An int of a user's."""


DIMENSIONS = Refused(StreamShapeError, ("31 dimensions",))
EMPTY = Refused(StreamShapeError, ("at least one element",))
PLAIN = np.array([1.0, np.nan, np.inf, -np.inf, -0.0, 5e-324, 2.2e-308, 1.7e308])
BITS = np.array([0x7FF8000000000001, 0xFFF0000000000002, 0x8000000000000000], "u8").view("f8")
"""Two NaN with payloads, one of them signalling, and −0.0."""

VALUES = [
    row("odd floats", PLAIN.copy, PLAIN, document=SAME),
    row("payloads of NaN", BITS.copy, BITS, document=SAME),
    row(
        "float16",
        lambda: np.array([65504, 6e-8, -0.0], "f2"),
        np.array([65504, 6e-8, -0.0], "f2"),
        document=SAME,
    ),
    row("float32 subnormals", lambda: np.array([1e-45], "f4"), np.array([1e-45], "f4"), document=SAME),
    row("NaN", lambda: float("nan"), float("nan"), float("nan"), SAME),
    row("-0.0", lambda: -0.0, -0.0, -0.0, SAME),
    row("infinity", lambda: float("-inf"), float("-inf"), float("-inf"), SAME),
    row("numpy scalar", lambda: np.float32(0.1), np.float32(0.1), float(np.float32(0.1)), SAME),
    row("bool", lambda: True, True, 1.0, SAME),
    row("int", lambda: -3, -3, -3.0, SAME),
    row("subclass of int", lambda: Int(5), 5, 5.0, 5),
    row("enumeration", lambda: Kind.ONE, 1, 1.0),
    row("complex", lambda: complex(-0.0, float("nan")), complex(-0.0, float("nan")), document=SAME),
    row("complex64", lambda: np.array([1j], "c8"), np.array([1j], "c8"), document=SAME),
    row("2**63", lambda: 2**63, np.uint64(2**63), 2.0**63, SAME),
    row("2**64 - 1", lambda: 2**64 - 1, np.uint64(2**64 - 1), Refused(InputError, ("float64 holds",)), SAME),
    row("2**53 + 1", lambda: 2**53 + 1, 2**53 + 1, Refused(InputError, ("float64 holds",)), SAME),
    row("-2**63", lambda: -(2**63), -(2**63), -(2.0**63), SAME),
    row("2**64", lambda: 2**64, document=SAME),
    row("0-d array", lambda: np.array(3.5), 3.5, 3.5, SAME),
    row("list", lambda: [1.0, 2.0], f8(1, 2), document=SAME),
    row("nested list", lambda: [[1, 2], [3, 4]], np.array([[1, 2], [3, 4]]), document=SAME),
    row("list of ints and floats", lambda: [1, 2.5], f8(1, 2.5), document=SAME, tree=[1, 2.5]),
    row(
        "list that would lose digits",
        lambda: [2**53 + 1, 0.5],
        Refused(StreamTypeError, ("9007199254740993",)),
        document=SAME,
    ),
    row("list past int64", lambda: [2**63, -1], Refused(StreamTypeError, ("no one dtype",)), document=SAME),
    row("list of uint64", lambda: [2**63, 2**64 - 1], np.array([2**63, 2**64 - 1], "u8"), document=SAME),
    row("tuple", lambda: (1, 2), np.array([1, 2]), document=SAME, tree=(1, 2)),
    row("ragged list", lambda: [[1], [1, 2]], document=SAME),
    row("list with a gap", lambda: [1.0, None], document=SAME),
    row("range", lambda: range(3), np.arange(3)),
    row("bytearray", lambda: bytearray(b"ab"), np.array([97, 98], "u1")),
    row("memoryview", lambda: memoryview(np.arange(3.0)), np.arange(3.0)),
    row("array.array", lambda: array.array("f", [1, 2]), np.array([1, 2], "f4")),
    row("big-endian", lambda: np.array([1, 2], ">i4"), np.array([1, 2], "i4"), document=SAME),
    row("not contiguous", lambda: np.arange(10.0)[::-3], np.arange(10.0)[::-3], document=SAME),
    row(
        "Fortran order",
        lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(6.0).reshape(2, 3),
        document=SAME,
    ),
    row("broadcast", lambda: np.broadcast_to(np.float32(2), (2, 2)), np.full((2, 2), 2, "f4"), document=SAME),
    row(
        "unaligned",
        lambda: np.frombuffer(b"-" + np.arange(3.0).tobytes(), "u1")[1:].view("f8"),
        np.arange(3.0),
        document=SAME,
    ),
    row("read-only", lambda: np.frombuffer(np.arange(3.0).tobytes()), np.arange(3.0), document=SAME),
    row("np.matrix", lambda: np.matrix([[1.0, 2.0]]), np.array([[1.0, 2.0]])),
    row("object with __array__", WithArray, f8(1.5, 2.5)),
    row("object whose __array__ fails", Failing, Refused(StreamTypeError, ("inside",))),
    row("empty list", list, EMPTY, document=SAME),
    row("empty array", lambda: np.empty((0, 3), "f4"), EMPTY, document=SAME),
    row("32 dimensions", lambda: np.zeros((1,) * 32), DIMENSIONS, document=SAME),
    # No room for the steps of a batch.
    row(
        "64 dimensions", lambda: np.zeros((1,) * 64), DIMENSIONS, document=SAME, kinds=("caller", "standard")
    ),
    row("masked array", lambda: np.ma.masked_array([1.0, 2.0], [0, 1]), Refused(StreamTypeError, ("mask",))),
    row(
        "list of masked arrays", lambda: [np.ma.masked_array([1.0], [1])], Refused(StreamTypeError, ("mask",))
    ),
    row("masked", lambda: np.ma.masked, Refused(StreamTypeError, ("mask",))),
    row(
        "longdouble",
        lambda: np.array([1], np.longdouble) / 3,
        Refused(StreamTypeError, ("float128",)),
        document=SAME,
    ),
    row("structured", lambda: np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")])),
    row("void", lambda: np.void(b"abc"), document=SAME),
    row("object array", lambda: np.array([1, 2], object)),
    row("text", lambda: "größe", document=SAME),
    row("empty text", lambda: "", document=SAME),
    row("numpy text", lambda: np.str_("a"), document=SAME, tree="a"),
    row("lone surrogate", lambda: "\ud800", document=SAME, tree=Refused(InputError, ("UTF-8",))),
    row("bytes", lambda: b"\0ab", document=SAME),
    row("text array", lambda: np.array(["a", "ü"]), document=SAME),
    row("datetime64", lambda: np.array(["2020-01-01"], "M8[D]"), document=SAME),
    row("timedelta64", lambda: np.timedelta64(3, "s"), document=SAME),
    row("datetime", lambda: datetime.datetime(2020, 1, 1), document=SAME),
    row("Decimal", lambda: decimal.Decimal("1.1")),
    row("Fraction", lambda: fractions.Fraction(1, 3)),
    row("set", lambda: {1, 2}, document=SAME),
    row("generator", lambda: (i for i in range(3))),
    row("object", object),
    row("function", lambda: len),
    row("bfloat16 of ml_dtypes", of("ml_dtypes", "np.array([1.5], m.bfloat16)"), needs="ml_dtypes"),
    row("float8 of ml_dtypes", of("ml_dtypes", "np.array([1.5], m.float8_e5m2)"), needs="ml_dtypes"),
    row("int4 of ml_dtypes", of("ml_dtypes", "m.int4(1)"), needs="ml_dtypes"),
    row("pandas Series", of("pandas", "m.Series([1.0, 2.0])"), f8(1, 2), needs="pandas"),
    row("pandas Int64", of("pandas", "m.Series([1, 2], dtype='Int64')"), np.array([1, 2]), needs="pandas"),
    row("pandas with a gap", of("pandas", "m.Series([1, None], dtype='Int64')"), needs="pandas"),
    row("pandas text", of("pandas", "m.Series(['a'])"), needs="pandas"),
    row("pandas table", of("pandas", "m.DataFrame({'a': [1, 2]})"), np.array([[1], [2]]), needs="pandas"),
    row("pandas table of two dtypes", of("pandas", "m.DataFrame({'a': [1], 'b': [0.5]})"), needs="pandas"),
    row("xarray", of("xarray", "m.DataArray([1.0, 2.0])"), f8(1, 2), needs="xarray"),
    *(
        row(
            f"torch {dtype}",
            of("torch", f"m.tensor([1, 0]).to(m.{dtype})"),
            np.array([1, 0], dtype),
            needs="torch",
        )
        for dtype in (
            "float64",
            "float32",
            "float16",
            "int64",
            "int8",
            "uint8",
            "uint16",
            "bool",
            "complex64",
        )
    ),
    *(
        row(f"torch {dtype}", of("torch", f"m.tensor([1.5]).to(m.{dtype})"), needs="torch")
        for dtype in ("bfloat16", "float8_e4m3fn", "float8_e5m2")
    ),
    row(
        "torch with a gradient",
        of("torch", "m.tensor([1.5], requires_grad=True)"),
        f8(1.5).astype("f4"),
        needs="torch",
    ),
    row(
        "torch transposed",
        of("torch", "m.arange(6).reshape(2, 3).T"),
        np.arange(6).reshape(2, 3).T,
        needs="torch",
    ),
    row("torch scalar", of("torch", "m.tensor(2.5)"), np.float32(2.5), 2.5, needs="torch"),
    row("torch sparse", of("torch", "m.eye(2).to_sparse()"), needs="torch"),
    row(
        "torch conjugate",
        of("torch", "m.tensor([1j]).conj()"),
        Refused(StreamTypeError, ("resolve_conj",)),
        needs="torch",
    ),
    row("torch without data", of("torch", "m.empty(2, device='meta')"), needs="torch"),
    row("torch gradients in a list", of("torch", "[m.tensor(1.0, requires_grad=True)]"), needs="torch"),
    *(
        row(f"JAX {dtype}", of("jax", f"j.array([1, 0], '{dtype}')"), np.array([1, 0], dtype), needs="jax")
        for dtype in ("float64", "float32", "float16", "int64", "int8", "uint16", "bool", "complex64")
    ),
    *(
        row(
            f"JAX {dtype}",
            of("jax", f"j.array([1], j.{dtype})"),
            Refused(StreamTypeError, (dtype,)),
            needs="jax",
        )
        for dtype in ("bfloat16", "float8_e4m3fn", "int4")
    ),
    row("JAX scalar", of("jax", "j.array(2.5)"), 2.5, 2.5, needs="jax"),
    row("JAX random key", of("jax", "m.random.key(0)"), needs="jax"),
]
"""Values: what streams, real numbers, documents and trees make of each."""
