"""Rows of :mod:`tests.test_inputs` that are whole calls: names, timesteps, dtypes and shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recorder import InputError, InvalidNameError, StreamShapeError, StreamTypeError
from tests.input_rows import ALL, Refused, Row, Try

GOOD = {"x": 1.0}
NAME = Refused(InvalidNameError)
TYPE = Refused(StreamTypeError)
SHAPE = Refused(StreamShapeError)
INPUT = Refused(InputError)
TIMES = Refused(StreamTypeError, ("timestep",))
FIXED = "fixed by the stream's first value"


def calls(name: str, *tries: Try, **options: Any) -> Row:
    """A row of several calls."""
    kinds = options.pop("kinds", ALL)
    return Row(name, None, lambda _: list(tries), kinds=kinds, options=options)


def refused(call: Callable[[Any], Any], error: Refused) -> Try:
    """A call that raises."""
    return Try(lambda s, _: call(s), error)


def log(error: Refused, **given: Any) -> Try:
    """One call of ``log`` that raises, with good values beside the bad one."""
    full = {"step": 900, "reward": 1.0, **given, "behavior": {**GOOD, **given.get("behavior", {})}}
    return refused(lambda s: s.log(**full), error)


def kept(step: int, read: Callable[[Any], Any], expected: Any, stream: str, **given: Any) -> Try:
    """One call of ``log`` that is stored."""
    full = {"reward": 1.0, **given, "behavior": {**GOOD, **given.get("behavior", {})}}
    return Try(lambda s, _: s.log(step, **full), expected, read, stream, step)


def names() -> list[Row]:
    """Names of streams, of columns and of everything that is saved."""
    rows = []
    bad = {
        "empty": "",
        "slash": "a/b",
        "dot": ".",
        "dots": "..",
        "NUL": "a\0b",
        "surrogate": "\ud800",
        "300 characters": "k" * 300,
        "200 umlauts": "ü" * 200,
        "int": 3,
        "None": None,
        "bytes": b"a",
        "timesteps": "timesteps",
        "own timesteps": "x_timesteps",
    }
    for name, key in bad.items():
        own = isinstance(key, str) and "timesteps" in key
        save = [] if own else [
            refused(lambda s, k=key: s.exporter.save_checkpoint(k, {"a": 1}), NAME),
            refused(lambda s, k=key: s.exporter.save_checkpoint("c", {k: 1}), NAME),
            refused(lambda s, k=key: s.exporter.log_static_episode_data(k, {"a": 1}), NAME),
            refused(lambda s, k=key: s.exporter.log_static_episode_data("s", {k: 1}), NAME),
            refused(lambda s, k=key: s.exporter.save_network_structure({k: [1]}, {}), NAME),
            refused(lambda s, k=key: s.exporter.current_episode.end(final_state={k: 1}), NAME),
        ]  # fmt: skip
        column = {"synapse_id": 1, "old_weight": 0.0, "new_weight": 1.0}
        if isinstance(key, str):
            save.append(log(NAME, **column, **{key: 1.0}))
        rows.append(
            calls(f"name: {name}", log(NAME, behavior={key: 1.0}), log(NAME, neural_state={key: 1.0}), *save)
        )
    for name in ("größe", "数", "a b", "k" * 255, "$x", "-", "episode_0000"):
        rows.append(
            calls(
                f"name: {name[:12]}",
                kept(
                    901,
                    lambda loader, n=name: loader.get_episode(0).stream(f"behavior/{n}").read(),
                    np.array([2.5]),
                    f"behavior/{name}",
                    behavior={name: 2.5},
                ),
                Try(
                    lambda s, _, n=name: s.exporter.log_static_episode_data(n, {n: 1.5}),
                    {name: np.float64(1.5)},
                    lambda loader, n=name: loader.get_episode(0).get_static_data(n),
                ),
                Try(
                    lambda s, _, n=name: s.exporter.save_config({n: {n: (1,)}}),
                    {name: {name: (1,)}},
                    lambda loader: loader.get_config(),
                ),
            )
        )
    reserved = ("spikes", "committed", "summary", "final_state", "accounts")
    rows.append(
        calls(
            "static data named like the layout",
            *(
                refused(lambda s, n=n: s.exporter.log_static_episode_data(n, {"a": 1}), INPUT)
                for n in reserved
            ),
        )
    )
    return rows


def timesteps() -> list[Row]:
    """Timesteps of every kind and order."""
    rows = []
    for name, step in {
        "None": None,
        "float": 1.0,
        "bool": True,
        "numpy bool": np.True_,
        "text": "1",
        "list": [1],
        "array": np.array([1, 2]),
        "object": object(),
        "complex": 1j,
    }.items():
        error = INPUT if step is None else TIMES
        rows.append(calls(f"timestep: {name}", log(error, step=step), kinds=("caller", "thread", "standard")))
    for step in (2**63, -(2**63) - 1, 2**64, 2**100):
        rows.append(
            calls(
                f"timestep: {step}",
                log(Refused(InputError), step=step),
                kinds=("caller", "thread", "standard"),
            )
        )
        rows.append(
            calls(
                f"batch of timestep {step}",
                refused(
                    lambda s, t=step: s.exporter.log_batch([t], reward=[1.0]),
                    Refused(InputError, ("timesteps",)),
                ),
            )
        )
    order = [5, 5, 3, -7, 2**63 - 1, -(2**63), np.int32(4), np.uint64(6), np.array(8)]
    rows.append(
        calls(
            "timesteps: repeated, backward, extreme",
            *(
                kept(
                    step,
                    lambda loader: loader.get_episode(0).stream("behavior/t").timesteps,
                    np.array([int(t) for t in order]),
                    "behavior/t",
                    behavior={"t": float(n)},
                )
                for n, step in enumerate(order)
            ),
        )
    )
    return rows


def streams() -> list[Row]:
    """Later values of a stream that has a dtype and a shape; late and missing ones."""
    rows = []
    wrong = {
        "int for float": (1, ("float64 scalar", "int64", FIXED, "float()")),
        "bool for float": (True, ("bool", FIXED)),
        "float32 for float64": (np.float32(1), ("float32", FIXED)),
        "complex for float": (1j, ("complex128", FIXED)),
        "array for scalar": (np.zeros(2), ("float64 of shape", FIXED)),
        "row for scalar": (np.zeros(1), ("float64 of shape", FIXED)),
        "text for float": ("a", ("behavior/x",)),
        "None for float": (None, ("behavior/x",)),
        "mapping for float": ({"a": 1}, ("behavior/x",)),
    }
    for name, (value, pieces) in wrong.items():
        rows.append(calls(name, log(Refused(InputError, pieces), behavior={"x": value, "new": 2.0})))
    for name, value in {
        "scalar for array": 1.0,
        "shorter array": np.zeros(2),
        "longer array": np.zeros(4),
        "transposed array": np.zeros((1, 3)),
        "flat array": np.zeros((3, 1)),
        "empty array": np.zeros(0),
        "other dtype": np.zeros(3, "f4"),
        "list of ints": [1, 2, 3],
        "ints of another size": np.zeros(3, "i8"),
    }.items():
        rows.append(
            calls(
                f"later value: {name}",
                kept(901, v_of("v"), np.ones((2, 3)), "neural_states/v", neural_state={"v": np.ones(3)}),
                log(Refused(InputError, ("neural_states/v", FIXED)), neural_state={"v": value, "w": 1.0}),
                kept(902, v_of("v"), np.ones((2, 3)), "neural_states/v", neural_state={"v": [1.0, 1.0, 1.0]}),
            )
        )
    for name, value in {
        "list": [1, 2],
        "text": "v",
        "array": np.zeros(2),
        "int": 3,
        "pairs": {("a", 1)},
    }.items():
        rows.append(
            calls(
                f"no mapping: {name}",
                refused(lambda s, v=value: s.exporter.log(900, neural_state=v, reward=1.0), TYPE),
                refused(lambda s, v=value: s.exporter.log(900, behavior=v, reward=1.0), TYPE),
                refused(lambda s, v=value: s.exporter.log_batch([900], behavior=v, reward=[1.0]), TYPE),
                refused(lambda s, v=value: s.exporter.save_config(v), INPUT),
                refused(lambda s, v=value: s.exporter.save_metadata(v), INPUT),
                refused(lambda s, v=value: s.exporter.save_checkpoint("c", v), INPUT),
                refused(lambda s, v=value: s.exporter.log_static_episode_data("d", v), INPUT),
                refused(lambda s, v=value: s.exporter.save_network_structure(v, {}), INPUT),
                refused(lambda s, v=value: s.exporter.save_network_structure({}, v), INPUT),
                refused(lambda s, v=value: s.exporter.end_episode(summary=v), INPUT),
                refused(lambda s, v=value: s.exporter.current_episode.end(final_state=v), INPUT),
                refused(lambda s, v=value: s.exporter.log(900, event_type="e", data=v), TYPE),
            )
        )
    rows.append(
        calls(
            "a field that comes late and goes missing",
            kept(901, v_of("v"), np.array([1.0, 3.0]), "neural_states/v", neural_state={"v": 1.0}),
            kept(902, v_of("w"), np.array([2, 3]), "neural_states/w", neural_state={"w": 2}),
            kept(903, v_of("w"), np.array([2, 3]), "neural_states/w", neural_state={"v": 3.0, "w": 3}),
        )
    )
    return rows


def v_of(key: str) -> Callable[[Any], Any]:
    return lambda loader: loader.get_episode(0).stream(f"neural_states/{key}").read()
