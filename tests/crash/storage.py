"""Kill a process while it stores, cleans, compacts and rotates; then judge what it left.

What is stored follows from a seed and the number of the call, so the judge knows what has to be there: all of
every call that had returned, all or nothing of the one that had not.
"""

from __future__ import annotations

import mmap
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from recorder.format.layout import JOURNAL_SUFFIX
from recorder.storage import HDF5Storage
from tests.crash import shim
from tests.crash.harness import ask, fork

KEPT = 40
"""Calls after which a cleanup removes objects."""
STORE, BATCH, CLEAN, COMPACT, ROTATE = "store", "batch", "clean", "compact", "rotate"


@dataclass(frozen=True)
class Flight:
    """A store that will be killed: ``delay`` seconds after some calls, or after ``kill_after`` operations."""

    seed: int
    delay: float = 0.0
    after_calls: int = 0
    """So that a slow machine's kills find as much to compare."""
    kill_after: int = 0
    calls: int = 1_000_000
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def at_random(cls, seed: int) -> Flight:
        """Options and the instant of the kill, drawn."""
        chance = random.Random(seed)
        options = {
            "enable_swmr": chance.random() < 0.7,
            "durability": chance.choice(["process"] * 9 + ["fsync"]),
            "max_file_size": chance.choice([1 << 30, 120_000]),
            "compression_opts": chance.choice([1, 6]),
        }
        return cls(seed, chance.random() * 0.02, chance.randrange(100), options=options)


@dataclass
class Verdict:
    """What became of it: calls that had returned, objects compared, and what was wrong."""

    seed: int
    returned: int = 0
    objects: int = 0
    operations: int = 0
    ended: bool = False
    plain: str = "no file"
    error: str = ""


def action(seed: int, call: int) -> str:
    """What a call does."""
    chance = random.Random(seed * 1_000_003 + call)
    return chance.choices([STORE, BATCH, CLEAN, COMPACT, ROTATE], [80, 12, 3, 3, 2])[0]


def objects_of(seed: int, call: int) -> list[tuple[str, dict[str, Any], float]]:
    """What a call stores: calls without ``store_``, arguments, timestamps."""
    what = action(seed, call)
    count = {STORE: 1, BATCH: 5}.get(what, 0)
    return [_object(seed, call, n) for n in range(count)]


def _object(seed: int, call: int, number: int) -> tuple[str, dict[str, Any], float]:
    rng = np.random.default_rng([seed, call, number])
    when = call + number / 100
    kind = int(rng.integers(4))
    if kind == 0:
        adjacency = np.random.default_rng([seed, call // 10]).random((80, 80)) < 0.1
        matrices = {"adjacency_matrix": adjacency, "weight_matrix": adjacency * rng.random((80, 80))}
        metadata = {"call": call, "tuple": (1, "a")}
        return (
            "network_snapshot",
            {**matrices, "neuron_states": rng.random((80, 2)), "metadata": metadata},
            when,
        )
    if kind == 1:
        n = int(rng.integers(0, 200))
        return "spike_train", {"spike_times": rng.random(n), "neuron_ids": rng.integers(0, 9, n)}, when
    if kind == 2:
        large = call % 7 == 0
        states = rng.random((500, 100)) if large else rng.random((20, 5))
        return "reservoir_states", {"reservoir_states": states, "reservoir_id": "r"}, when
    return "performance_metrics", {"metrics": {"loss": float(rng.random())}, "task_type": "t"}, when


_PREFIX = {
    "network_snapshot": "snapshot",
    "spike_train": "train",
    "reservoir_states": "r",
    "performance_metrics": "t",
}


def id_of(what: str, when: float) -> str:
    """The id of an object: no two are of one millisecond."""
    return f"{_PREFIX[what]}_{int(when * 1000)}"


def expected(seed: int, returned: int) -> dict[str, tuple[str, dict[str, Any], float]]:
    """Everything that is there after so many calls."""
    there: dict[str, tuple[str, dict[str, Any], float]] = {}
    for call in range(returned):
        there.update((id_of(what, when), (what, a, when)) for what, a, when in objects_of(seed, call))
        if action(seed, call) == CLEAN:
            there = {name: it for name, it in there.items() if it[2] >= call - KEPT}
    return there


class Told:
    """Calls that have returned, and file operations, in memory that survives the kill."""

    def __init__(self) -> None:
        self.words = memoryview(mmap.mmap(-1, 64)).cast("q")


def work(path: Path, flight: Flight, told: Told) -> None:
    """Call after call, until killed."""
    watched = "flightrec-shim" in os.environ.get("LD_PRELOAD", "")
    if watched:
        shim.configure(str(path.parent), kill_after=flight.kill_after)
    with HDF5Storage(path, **flight.options) as storage:
        told.words[2] = 1
        for call in range(flight.calls):
            run(storage, flight.seed, call)
            told.words[0] = call + 1
    if watched:
        told.words[1] = shim.operations()
        shim.configure()


def run(storage: HDF5Storage, seed: int, call: int) -> None:
    """One call."""
    what = action(seed, call)
    if what == CLEAN:
        storage.cleanup_old_data(0, now=float(call - KEPT))
    elif what == COMPACT:
        storage.compact(lambda *_: None)
    elif what == ROTATE:
        storage.rotate_file()
    else:
        given = objects_of(seed, call)
        storage.store_many((name, {**arguments, "timestamp": when}) for name, arguments, when in given)


def fly(flight: Flight) -> Verdict:
    """Store, kill, judge."""
    folder, told = Path(tempfile.mkdtemp(prefix="flightrec-store-")), Told()
    path = folder / "store.h5"
    verdict = Verdict(flight.seed)
    try:
        child = fork(lambda: work(path, flight, told))
        if not flight.kill_after:
            while (
                not (told.words[2] and told.words[0] >= flight.after_calls)
                and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
            ):
                time.sleep(0.0005)
            time.sleep(flight.delay)
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        verdict.returned, verdict.operations = told.words[0], told.words[1]
        verdict.ended = code == 0
        if code not in (0, -signal.SIGKILL):
            verdict.error = f"storing ended with {code}"
            return verdict
        if path.exists():
            waits = path.with_name(path.name + JOURNAL_SUFFIX).exists()
            verdict.plain = str(ask(lambda: {"plain": _plain(path)}).get("plain", "died"))
            verdict.plain += ", a journal waits" if waits and verdict.plain != "opens" else ""
        elif verdict.returned:
            verdict.error = "there is no file"
            return verdict
        answer = ask(lambda: judge(path, flight, verdict.returned))
        verdict.objects, verdict.error = answer.get("objects", 0), answer.get("error", "")
        return verdict
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _plain(path: Path) -> str:
    try:
        with h5py.File(path, "r") as file:
            assert "network_states" in file
    except (OSError, KeyError, RuntimeError):
        return "refused"
    return "opens"


def judge(path: Path, flight: Flight, returned: int) -> dict[str, Any]:
    """Compare what is there with what has to be; then go on storing."""
    seed = flight.seed
    before, after = expected(seed, returned), expected(seed, returned + 1)
    with HDF5Storage(path, **flight.options) as storage:
        listed = [entry.id for entry in storage.find()]
        assert len(set(listed)) == len(listed), "an object is listed twice"
        found = set(listed)
        if action(seed, returned) == CLEAN:
            # File after file: what is old may be gone or not.
            assert set(after) <= found <= set(before), found ^ set(before)
        else:
            assert found in (set(before), set(after)), sorted(found ^ set(before))
        for name in found:
            check(storage, name, *(before.get(name) or after[name]))
        for call in range(returned, min(returned + 3, flight.calls)):
            missing = set(expected(seed, call + 1)) - found
            if call > returned or missing or action(seed, call) not in (STORE, BATCH):
                run(storage, seed, call)
        assert storage.verify() == []
    left = sorted(p.name for p in path.parent.iterdir() if not p.name.startswith("store"))
    beside = [p.name for p in path.parent.iterdir() if p.suffix in (".lock", ".journal")]
    assert not left, left
    assert not [name for name in beside if name.startswith("store.h5")], beside
    return {"objects": len(found)}


def check(storage: HDF5Storage, name: str, what: str, arguments: dict[str, Any], when: float) -> None:
    """An object is what was given, to the bit."""
    found = getattr(storage, f"retrieve_{what}")(name)
    assert found is not None, f"{name} cannot be retrieved"
    parts = (
        list(found) if isinstance(found, tuple) else [vars(found)[key] for key in ("timestamp", *arguments)]
    )
    wanted = [when, *arguments.values()]
    if isinstance(found, tuple):
        wanted = [
            arguments.get("metrics", arguments.get("reservoir_states")),
            when,
            *list(arguments.values())[1:],
        ]
    for a, b in zip(parts, wanted, strict=True):
        same = a.dtype == b.dtype and np.array_equal(a, b) if isinstance(b, np.ndarray) else a == b
        assert same, f"{name} is not what was stored"


def sweep(seed: int, calls: int, stride: int, options: dict[str, Any]) -> Iterator[Flight]:
    """The same work, killed after its n-th file operation, for every n-th."""
    whole = fly(Flight(seed, kill_after=1 << 40, calls=calls, options=options))
    if whole.error:
        raise AssertionError(whole.error)
    for n in range(1, whole.operations + stride, stride):
        yield Flight(seed, kill_after=n, calls=calls, options=options)
