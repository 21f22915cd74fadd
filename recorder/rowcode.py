"""The body of ``log()``, written for one plan.

A general loop over streams costs a microsecond in Python; straight-line code for the streams an episode
really has costs half of that. So the code is generated, as ``dataclasses`` and ``namedtuple`` do: only from
a plan, never from a user's text (keys and constants come in as arguments, not as source).

What it does, in order: check that the call looks like the plan; copy values into the block, where a
memoryview refuses any other dtype, shape or size by itself; publish side rows, then the main row. Anything
unexpected, a full block included, goes to ``admit``, which knows what to do and has time for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recorder.errors import ConcurrentLogError
from recorder.format.layout import BEHAVIOR, NEURAL, REWARDS, SPIKES
from recorder.plan import GROUP_ARGUMENTS, HEAD, MAIN, NEED, STRUCT_CODES, VALUE, Plan, Stream
from recorder.ring.record import Record

GENERATED = "<flightrec log>"
"""What tracebacks call the generated source's file."""
FALL_BACK = (KeyError, ValueError, TypeError, NotImplementedError, struct.error, OverflowError)
_MOST_WRITTEN = 64
_PYTHON_TYPES = {"f8": float, "i8": int, "b1": bool, "c16": complex}


@dataclass(slots=True)
class Position:
    """Where in its block a log function stands: rows, side rows, heap bytes, and when samples are due."""

    row: int = 0
    side: list[int] = field(default_factory=list)
    heap: int = 0
    due: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LogFunction:
    """A generated ``log`` and the ways to move it."""

    log: Callable[..., None]
    attach: Callable[[tuple[Any, ...], Position], None]
    """Go on in another block."""
    retire: Callable[[], None]
    """Send every further call to ``admit``; safe from any thread."""
    position: Callable[[], Position]
    running: Callable[[], bool]
    """Whether a call is under way, in another thread or below a signal handler."""


def generate(
    plan: Plan, admit: Callable[..., None], indices: Callable[..., NDArray[np.int64]]
) -> LogFunction:
    """A log function for this plan, retired until it is attached to a block.

    Parameters
    ----------
    admit : callable
        Takes ``(timestep, neural_state, spikes, behavior, reward, more)`` of every call that is not plain.
    indices : callable
        Takes ``(timestep, spikes)``; returns sorted int64 neuron indices or raises.
    """
    streams = tuple((s.group, s.key, s.kind, s.rate, s.required) for s in plan.streams.values())
    bind, pack, constants = _written(streams, lambda: _Source(plan))
    made = bind(admit, indices, np.ndarray, FALL_BACK, Position, concurrent_log, pack, *constants)
    return LogFunction(*made)


def concurrent_log(timestep: Any) -> ConcurrentLogError:
    """The error of a call that came while another one was running."""
    return ConcurrentLogError(
        f"log() at timestep {timestep!r} came while another call was running, from another thread or a "
        "signal handler; nothing of it was stored. Log from one thread, or hold a lock of your own"
    )


def block_views(plan: Plan, record: Record) -> tuple[Any, ...]:
    """The views of a block that a function generated for the same plan is attached to."""
    main = record.tables[MAIN]
    views: list[Any] = [record.counters.data, main.table.rows, _raw(main.columns[HEAD])]
    heap: tuple[Any, int] = (None, 0)
    for name, stream in plan.streams.items():
        if stream.indices:
            ids = record.tables[name if stream.side else MAIN].heap.view(np.int64)
            heap = ids.data, len(ids)
        if stream.side:
            table = record.tables[name]
            views += [table.table.rows, table.columns[NEED].data]
            views.append(_target(stream, table.columns["end" if stream.indices else VALUE]))
        elif not stream.in_head:
            views.append(_target(stream, main.columns[name]))
    return (*views, *heap)


def _raw(column: NDArray[Any]) -> memoryview:
    return column.reshape(-1).view(np.uint8).data


def _flat(stream: Stream) -> bool:
    # A memoryview checks one-dimensional rows of plain numbers in C; NumPy assigns the others.
    return len(stream.shape) == 1 and stream.kind.dtype.kind != "c"


def _target(stream: Stream, column: NDArray[Any]) -> Any:
    if stream.indices or (stream.side and stream.scalar_code is not None):
        return column.data
    return column.reshape(-1).data if _flat(stream) else column


_Written = tuple[Callable[..., tuple[Any, ...]], Any, list[Any]]
_WRITTEN: dict[tuple[Any, ...], _Written] = {}
"""What was written for streams, because one episode after the other has the same."""


def _written(streams: tuple[Any, ...], source: Callable[[], _Source]) -> _Written:
    found = _WRITTEN.get(streams)
    if found is None:
        writer = source()
        found = _compile(writer.text()), writer.pack, writer.constants
        if len(_WRITTEN) >= _MOST_WRITTEN:
            _WRITTEN.clear()
        _WRITTEN[streams] = found
    return found


@lru_cache(maxsize=256)
def _compile(text: str) -> Callable[..., tuple[Any, ...]]:
    space: dict[str, Any] = {}
    exec(compile(text, GENERATED, "exec"), space)
    bind: Callable[..., tuple[Any, ...]] = space["bind"]
    return bind


class _Source:
    """Collects the lines of the generated module, stream by stream."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.constants: list[Any] = []
        self.names: list[str] = []
        self.views = ["counts", "cap", "head"]
        self.guards: list[str] = []
        self.reads: list[str] = []
        self.checks: list[str] = []
        self.writes: list[str] = []
        self.publishes: list[str] = []
        self.commits: list[str] = []
        self.packed: list[str] = []
        self.sides = 0
        self.dues = 0
        self._mappings: dict[str, str] = {}
        codes = "".join("q" if d == "<i8" else STRUCT_CODES[d[1:]] for _, d in plan.head_fields())
        self.record = struct.Struct("=" + codes)
        self.pack = self.record.pack_into
        self._guard_groups()
        for index, stream in enumerate(plan.streams.values()):
            self._add(index, stream)

    def constant(self, value: Any) -> str:
        """A name in the generated code for a value that must not become source."""
        self.constants.append(value)
        self.names.append(f"c{len(self.constants)}")
        return self.names[-1]

    def text(self) -> str:
        """The module: a function ``bind`` that makes the five closures."""
        sides = [f"k{n}" for n in range(self.sides)]
        dues = [f"due{n}" for n in range(self.dues)]
        moving = ", ".join(["i", "h", *sides, *dues])
        views = ", ".join([*self.views, "heap", "hcap"])
        start = [
            "def bind(admit, indices, ndarray, fall_back, Position, concurrent, pack, "
            + "".join(f"{n}, " for n in self.names) + "):",
            "    busy = False",
            "    " + " = ".join([*moving.split(", "), "cap"]) + " = 0",
            "    " + " = ".join([v for v in views.split(", ") if v != "cap"]) + " = None",
        ]  # fmt: skip
        body = [
            "def log(timestep=None, neural_state=None, spikes=None, behavior=None, reward=None, **more):",
            f"    nonlocal busy, {moving}",
            # Nothing between these two lines lets another thread or a signal handler in.
            "    if busy: raise concurrent(timestep)",
            "    busy = True",
            "    try:",
            "        if "
            + " and ".join(["i < cap", "not more", "type(timestep) is int", *self.guards])
            + ":",
            *(f"            {line}" for line in self.reads),
            "            if " + (" and ".join(f"({c})" for c in self.checks) or "True") + ":",
            "                rows = i + 1",
            *(f"                {line}" for line in self.writes),
            f"                pack(head, i * {self.record.size}, "
            + ", ".join(["timestep", *self.packed])
            + ")",
            *(f"                {line}" for line in self.publishes),
            "                counts[0] = rows",
            "                i = rows",
            *(f"                {line}" for line in self.commits),
            "                busy = False",
            "                return None",
            "    except fall_back:",
            "        pass",
            "    except BaseException:",
            "        busy = False",
            "        raise",
            "    busy = False",
            "    return admit(timestep, neural_state, spikes, behavior, reward, more)",
            "def attach(views, position):",
            f"    nonlocal {moving}, {views}",
            "    i, h = position.row, position.heap",
            *(f"    {name} = position.side[{n}]" for n, name in enumerate(sides)),
            *(f"    {name} = position.due[{n}]" for n, name in enumerate(dues)),
            # The capacity last: until then no call of another thread gets in.
            f"    {views.replace(' cap,', ' room,')} = views",
            "    cap = room",
            "def retire():",
            "    nonlocal cap",
            "    cap = 0",
            "def position():",
            f"    return Position(i, [{', '.join(sides)}], h, [{', '.join(dues)}])",
            "def running():",
            "    return busy",
            "return log, attach, retire, position, running",
        ]
        return "\n".join([*start, *(f"    {line}" for line in body), ""])

    def _guard_groups(self) -> None:
        for group in (NEURAL, BEHAVIOR):
            argument = mapping = GROUP_ARGUMENTS[group]
            streams = list(self.plan.group(group))
            keys = {stream.key: self.constant(stream.key) for stream in streams}
            required = [stream.key for stream in streams if stream.required]
            if not streams:
                self.guards.append(f"{argument} is None")
            elif required:
                self.guards.append(f"type({argument}) is dict")
            else:
                self.guards.append(f"({argument} is None or type({argument}) is dict)")
                # Under another name: admit() knows its own call by the very objects it was given.
                mapping = f"{argument}_"
                self.reads.append(f"{mapping} = {{}} if {argument} is None else {argument}")
            self._mappings[group] = mapping
            if streams:
                present = " + ".join(
                    [
                        str(len(required)),
                        *(f"({keys[s.key]} in {mapping})" for s in streams if not s.required),
                    ]
                )
                self.checks.append(f"len({mapping}) == {present}")
            self._keys = getattr(self, "_keys", {}) | {(group, key): name for key, name in keys.items()}
        for group in (SPIKES, REWARDS):
            if group not in self.plan.streams:
                self.guards.append(f"{GROUP_ARGUMENTS[group]} is None")

    def _add(self, index: int, stream: Stream) -> None:
        value, has = f"v{index}", f"has{index}"
        argument = GROUP_ARGUMENTS[stream.group]
        conditions: list[str] = []
        if stream.group in (NEURAL, BEHAVIOR):
            key = self._keys[stream.group, stream.key]
            mapping = self._mappings[stream.group]
            fetch = f"{mapping}[{key}]"
            if not stream.required:
                conditions.append(f"{key} in {mapping}")
        else:
            fetch = argument
            if not stream.required:
                conditions.append(f"{argument} is not None")
        if stream.rate > 1:
            conditions.append(f"timestep >= due{self.dues}")
        if not stream.side:
            self.reads.append(f"{value} = {fetch}")
            self._convert(stream, value, "")
            self.checks.append(self._check(stream, value))
            if stream.in_head:
                self._pack(stream, value)
            else:
                target = self._view(f"a{index}")
                self.writes.append(self._write(stream, target, "i", value))
            return
        self.reads.append(f"{has} = " + " and ".join(conditions))
        # Whether or not it is due: a key that is missing is found out by its look-up.
        always = stream.required and stream.group in (NEURAL, BEHAVIOR)
        self.reads.append(f"{value} = {fetch}" if always else f"if {has}: {value} = {fetch}")
        self._convert(stream, value, f"if {has}: ")
        side, cap = f"k{self.sides}", self._view(f"cap{index}")
        need, target = self._view(f"need{index}"), self._view(f"a{index}")
        self.checks.append(f"not {has} or ({side} < {cap} and {self._check(stream, value)})")
        self.writes.append(f"if {has}:")
        if stream.indices:
            self.writes.append(f"    heap[h:h + len({value})] = {value}")
            self.writes.append(f"    {target}[{side}] = h + len({value})")
        else:
            self.writes.append("    " + self._write(stream, target, side, value))
        self.writes.append(f"    {need}[{side}] = rows")
        self.publishes.append(f"if {has}: counts[{2 * (self.sides + 1)}] = {side} + 1")
        self.commits.append(f"if {has}:")
        self.commits.append(f"    {side} += 1")
        if stream.rate > 1:
            self.commits.append(f"    due{self.dues} = timestep + {int(stream.rate)}")
            self.dues += 1
        if stream.indices:
            self.commits.append(f"    h += len({value})")
        self.sides += 1

    def _view(self, name: str) -> str:
        self.views.append(name)
        return name

    def _convert(self, stream: Stream, value: str, when: str) -> None:
        if stream.indices:
            self.reads.append(f"{when}{value} = indices(timestep, {value})")

    def _check(self, stream: Stream, value: str) -> str:
        if stream.indices:
            return f"h + len({value}) <= hcap"
        if not stream.shape:
            kinds = [_PYTHON_TYPES.get(stream.kind.dtype.str[1:]), stream.kind.dtype.type]
            return "(" + " or ".join(f"type({value}) is {self.constant(k)}" for k in kinds if k) + ")"
        if _flat(stream):
            return f"type({value}) is ndarray"
        dtype, shape = self.constant(stream.kind.dtype), self.constant(stream.shape)
        return f"type({value}) is ndarray and {value}.dtype == {dtype} and {value}.shape == {shape}"

    def _pack(self, stream: Stream, value: str) -> None:
        if stream.indices:
            self.writes.append(f"heap[h:h + len({value})] = {value}")
            self.packed.append(f"h + len({value})")
            self.commits.append(f"h += len({value})")
        else:
            self.packed.append(value)

    def _write(self, stream: Stream, target: str, row: str, value: str) -> str:
        if stream.scalar_code is not None or not _flat(stream):
            return f"{target}[{row}] = {value}"
        width = stream.shape[0]
        end = "rows" if row == "i" else f"({row} + 1)"
        return f"{target}[{row} * {width}:{end} * {width}] = {value}"
