"""Documents come back with their types, or are refused with the place named."""

import collections
import enum
import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recorder.errors import DamagedError, InputError
from recorder.format.document import MAX_DEPTH, dumps, loads
from recorder.format.events import decode_event, encode_event


def equal(a, b):
    """Same type and value; NaN equals NaN, -0.0 does not equal 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, complex):
        return equal(a.real, b.real) and equal(a.imag, b.imag)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return equal([*a], [*b]) and equal([*a.values()], [*b.values()])
    return a == b


ZONES = st.none() | st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
TEXT = st.text(st.characters(exclude_categories=())).filter(
    lambda t: t == t.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
LONG = 10**5000
HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=ZONES)
    | st.times(timezones=ZONES)
    | st.timedeltas(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
DTYPES = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes(endianness="?")
    | hnp.floating_dtypes(endianness="?")
    | hnp.complex_number_dtypes(endianness="?")
    | hnp.unicode_string_dtypes()
    | hnp.byte_string_dtypes()
    | hnp.datetime64_dtypes()
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
VALUES = st.recursive(
    HASHABLE
    | st.floats()
    | st.complex_numbers()
    | ARRAYS
    | ARRAYS.filter(lambda a: a.size and a.dtype.kind not in "US").map(lambda a: a.ravel()[0]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(HASHABLE | st.sampled_from(["$", "$float", "a"]), inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_any_value_comes_back(value):
    data = dumps(value)
    assert data.isascii()
    json.loads(data, parse_constant=pytest.fail)
    assert equal(loads(data), value)


@given(st.sets(HASHABLE))
def test_sets_come_back_and_are_stable(value):
    assert loads(dumps(value)) == value
    assert dumps(value) == dumps({*reversed([*value])})


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        "a\udcffb",
        10**400,
        np.float64(0.1),
        np.str_("a\0"),
        np.str_(""),
        np.bytes_(b"a\0"),
        np.bytes_(b""),
        np.datetime64("NaT"),
        np.longdouble(1) / 3,
        np.array(5),
        np.array([], "U"),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(10)[::-3],
        {"$float": "nan"},
        {"$x": 1, "b": 2},
        {1: "a", "1": "b", None: 0, (1, 2): 3, True and 2.5: 4},
        Path("a/b"),
        datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-3, seconds=7))),
        time(1, 2, 3, 4),
        date(1, 1, 1),
        timedelta(days=-1, microseconds=1),
        complex(math.nan, -0.0),
        [[[]], ({},), frozenset({frozenset()})],
    ],
    ids=range(25),
)
def test_corner_values_come_back(value):
    assert equal(loads(dumps(value)), value)


def test_what_is_not_exact_on_purpose():
    point = collections.namedtuple("Point", "x y")(1, 2)
    assert equal(loads(dumps(point)), (1, 2))
    assert equal(loads(dumps(collections.OrderedDict(a=1))), {"a": 1})
    assert equal(loads(dumps(type("Text", (str,), {})("a"))), "a")
    assert equal(loads(dumps(PurePosixPath("/x"))), Path("/x"))
    there = datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    assert loads(dumps(there)) == there
    assert loads(dumps(there)).utcoffset() == timedelta(hours=2)


def test_arrays_are_fresh_and_writable():
    array = loads(dumps(np.arange(3)))
    array[0] = 9
    assert array.flags.c_contiguous


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": {"b": [0, object()]}}, r"document\.a\.b\[1\]"),
        ({"a": (1, {2: len})}, r"document\.a\[1\]\.2"),
        (enum.Enum("E", "A").A, "enumeration"),
        (enum.IntEnum("E", "A").A, "enumeration"),
        (np.array([None]), "object"),
        (np.zeros(2, "i4,f8"), "structured"),
        (np.ma.masked_array([1], [True]), "plain NumPy array"),
        ({"n": LONG}, r"document\.n.*decimal"),
        ("\ud83d\ude00", "surrogate pair"),
        ({"\ud83d\ude00": 1}, "surrogate pair"),
        (range(3), "range"),
        (scipy.sparse.eye_array(2, format="dok"), "dok_array"),
        (time(1, tzinfo=ZoneInfo("Europe/Berlin")), "fixed offset"),
    ],
)
def test_refused_values_name_their_place(value, place):
    with pytest.raises(InputError, match=place):
        dumps(value)


def test_cycles_and_depth():
    loop: list = []
    loop += [loop, loop]
    with pytest.raises(InputError, match="itself"):
        dumps({"a": loop})
    shared = [1]
    assert loads(dumps([shared, shared])) == [[1], [1]]
    deep: list = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    with pytest.raises(InputError, match="levels"):
        dumps(deep)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b"NaN",
        b'{"$odd":1}',
        b'{"$float":"nan","a":1}',
        b'{"$float":"1"}',
        b'{"$tuple":5}',
        b'{"$set":[[]]}',
        b'{"$dict":[[1]]}',
        b'{"$bytes":"!"}',
        b'{"$datetime":"x"}',
        b'{"$complex":[1]}',
        b'{"$array":{}}',
        b'{"$array":{"dtype":"|O","shape":[1],"data":"AAAAAAAAAAA="}}',
        b'{"$array":{"dtype":"<i8","shape":[-1],"data":""}}',
        b'{"$array":{"dtype":"<i8","shape":[99999999999],"data":""}}',
        b'{"$scalar":{"dtype":"<i8","data":"AA=="}}',
        b'{"$scalar":{"dtype":"i8,i8","data":""}}',
        b"[" * 100_000,
        b"1" * 5000,
    ],
    ids=lambda data: repr(data[:30]),
)
def test_damaged_documents(data):
    with pytest.raises(DamagedError):
        loads(data)


def test_events():
    assert decode_event(encode_event("a/b", {"n": np.int8(3), "t": (1,)})) == (
        "a/b",
        {"n": np.int8(3), "t": (1,)},
    )
    assert json.loads(encode_event("x", {})) == {"type": "x", "data": {}}
    for wrong in ((3, {}), ("x", [1])):
        with pytest.raises(InputError):
            encode_event(*wrong)
    for damaged in (b"[]", b'{"type":"a"}', b'{"type":1,"data":{}}', b'{"type":"a","data":1}'):
        with pytest.raises(DamagedError):
            decode_event(damaged)
