"""Kill a process while it records, then judge what it left, each in a process of its own.

The processes are forked from this one, which has everything imported: a kill and its judgement take a
fraction of a second. For kills after the n-th file operation this one must run under the shim.
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from loaders import ExperimentLoader
from recorder import DataExporter
from recorder.format.layout import JOURNAL_SUFFIX, LOCK_SUFFIX, RING_SUFFIX
from recorder.h5 import sink, transaction
from recorder.h5.live import LiveFile
from recorder.h5.repair import open_unwritten, repair
from tests.crash import shim
from tests.crash.checking import check_committed, check_recovered
from tests.crash.work import SAMPLING, Told, record

PATIENCE = 120.0
WAYS = ("load", "repair", "repair killed", "unwritten")


@dataclass(frozen=True)
class Flight:
    """One recording that will be killed: after ``delay`` seconds, or after ``kill_after`` operations."""

    seed: int
    delay: float = 0.0
    kill_after: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    episodes: int = 100_000
    longest: int = 20_000
    before_ready: bool = False
    way: int = 0

    @classmethod
    def at_random(cls, seed: int) -> Flight:
        """Options and the instant of the kill, drawn."""
        chance = random.Random(seed)
        options = {
            "async_write": chance.random() < 0.5,
            "ring_bytes": chance.choice([1 << 20, 1 << 20, 4 << 20]),
            "chunk_size": chance.choice([100, 1000, 10_000]),
            "compression": chance.choice(["gzip", "gzip", "gzip", "lzf", None]),
            "durability": chance.choice(["process"] * 9 + ["fsync"]),
            "enable_swmr": chance.random() < 0.2,
            "flush_interval": 0.02,
        }
        early = chance.random() < 0.05
        delay = chance.random() * (0.02 if early else 0.25)
        longest = chance.choice([5, 400, 20_000, 20_000])
        return cls(seed, delay, 0, options, longest=longest, before_ready=early, way=seed % len(WAYS))


@dataclass
class Verdict:
    """What became of a flight. ``plain`` is ``exact``, ``unopened``, ``torn`` or ``no file``."""

    seed: int
    told: dict[str, int]
    plain: str = "no file"
    in_window: bool = False
    way: str = ""
    steps: int = 0
    ended: bool = False
    error: str = ""


def fly(flight: Flight) -> Verdict:
    """Record, kill, judge."""
    folder = Path(tempfile.mkdtemp(prefix="flightrec-kill-"))
    told = Told()
    try:
        child = fork(lambda: _record(folder, flight, told))
        if not flight.kill_after:
            while not (told["ready"] or flight.before_ready or _died(child)):
                time.sleep(0.0002)
            time.sleep(flight.delay)
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        verdict = Verdict(flight.seed, told.as_dict(), ended=code == 0)
        if code not in (0, -signal.SIGKILL):
            verdict.error = f"recording ended with {code}: {_complaint(folder)}"
            return verdict
        return _judge(folder, flight, verdict)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_repair(flight: Flight) -> tuple[int, list[str]]:
    """Kill a recording, and its repair after the 1st, 2nd, 3rd … file operation.

    Returns
    -------
    tuple of int and list of str
        How many repairs were killed, and what was wrong after them.
    """
    folder, told = Path(tempfile.mkdtemp(prefix="flightrec-kill-")), Told()
    errors: list[str] = []
    try:
        os.waitpid(fork(lambda: _record(folder, flight, told)), 0)
        for after in range(1, 10_000):
            copy = folder / f"copy{after}"
            # Copied without its holes, a file has megabytes for repair to sync.
            subprocess.run(["cp", "-r", "--sparse=always", folder / "data", copy], check=True)
            (path,) = copy.glob("run_*/experiment_data.h5")

            def dying(path: Path = path, copy: Path = copy, after: int = after) -> None:
                shim.configure(str(copy), kill_after=after)
                repair(path)

            code = os.waitstatus_to_exitcode(os.waitpid(fork(dying), 0)[1])
            verdict = Verdict(flight.seed, told.as_dict(), way="load")
            found = ask(functools.partial(_whole, path, flight, verdict))
            if code not in (0, -signal.SIGKILL) or "error" in found:
                errors.append(f"repair killed after {after}: ended with {code}, {found.get('error')}")
            shutil.rmtree(copy)
            if code == 0:
                return after - 1, errors
        return after, [*errors, "repair never ended"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_alongside(seconds: float, options: dict[str, Any], longest: int) -> dict[str, Any]:
    """Open a file plainly, again and again, while another process records episode after episode.

    Returns
    -------
    dict
        ``opens``, ``refused`` (by error), and the writer's ``changes`` meanwhile.
    """
    folder, told = Path(tempfile.mkdtemp(prefix="flightrec-open-")), Told()
    child = fork(lambda: _record(folder, Flight(0, options=options, longest=longest), told))
    try:
        while not told["started"] and not _died(child):
            time.sleep(0.001)
        (path,) = (folder / "data").glob("run_*/experiment_data.h5")
        before = told["windows"]
        found = ask(lambda: _opens(path, seconds))
        return {**found, "changes": told["windows"] - before}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        shutil.rmtree(folder, ignore_errors=True)


def _opens(path: Path, seconds: float) -> dict[str, Any]:
    refused: dict[str, int] = {}
    opens, deadline = 0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        opens += 1
        try:
            with h5py.File(path, "r") as file:
                assert file.attrs["format"] == "flightrec"
                assert len(file["episodes"]) >= 0
        except (OSError, KeyError, RuntimeError) as error:
            text = str(error).partition("(")[2].rstrip(")")[:60]
            refused[text] = refused.get(text, 0) + 1
    return {"opens": opens, "refused": refused}


def _record(folder: Path, flight: Flight, told: Told) -> None:
    _watch_window(told)
    shim_is_here = "flightrec-shim" in os.environ.get("LD_PRELOAD", "")
    if shim_is_here:
        shim.configure(str(folder / "data"), kill_after=flight.kill_after)
    begun = time.perf_counter_ns()
    exporter = DataExporter(
        "run",
        folder / "data",
        neural_sampling_rate={"v": SAMPLING},
        validate_data=False,
        **flight.options,
    )
    told["ready"] = begun
    with exporter:
        record(exporter, flight.seed, told, flight.episodes, flight.longest)
    if shim_is_here:
        told["operations"] = shim.operations()
        shim.configure()


def _watch_window(told: Told) -> None:
    """Add up the time in which a plain open is not promised, and how often it comes."""

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*arguments: Any, **keywords: Any) -> Any:
            begun = time.perf_counter_ns()
            told["in_window"] = 1
            try:
                return call(*arguments, **keywords)
            finally:
                told["in_window"] = 0
                told["window_ns"] += time.perf_counter_ns() - begun
                told["windows"] += 1

        return inner

    transaction._apply = timed(transaction._apply)
    LiveFile.__init__ = timed(LiveFile.__init__)  # type: ignore[method-assign]
    assert sink.LiveFile is LiveFile


def _judge(folder: Path, flight: Flight, verdict: Verdict) -> Verdict:
    found = sorted((folder / "data").glob("run_*/experiment_data.h5"))
    if not found:
        verdict.error = "" if not verdict.told["started"] else "there is no file"
        return verdict
    (path,) = found
    journal = path.with_name(path.name + JOURNAL_SUFFIX).exists()
    verdict.in_window = journal or bool(verdict.told["in_window"])
    answer = ask(lambda: _plain(path))
    verdict.plain = answer.get("plain", f"torn: HDF5 died, {answer.get('error')}")
    verdict.way = WAYS[flight.way]
    answer = ask(lambda: _whole(path, flight, verdict))
    verdict.steps, verdict.error = answer.get("steps", 0), answer.get("error", "")
    return verdict


def _plain(path: Path) -> dict[str, Any]:
    try:
        check_committed(path)
    except AssertionError as error:
        return {"plain": f"torn: {error}"}
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        return {"plain": f"unopened: {error}"}
    return {"plain": "exact"}


def _whole(path: Path, flight: Flight, verdict: Verdict) -> dict[str, Any]:
    if verdict.way == "repair killed":
        for after in (1, 2, 4, 8):
            os.waitpid(fork(lambda n=after: _dying_repair(path, n)), 0)
    if verdict.way == "unwritten":
        before = {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}
        open_unwritten(path).close()
        assert {p.name: p.read_bytes() for p in path.parent.iterdir() if p.is_file()} == before
    if verdict.way.startswith("repair"):
        assert repair(path).status in {"recovered", "clean"}
    else:
        ExperimentLoader(path).close()
    left = {p.suffix for p in path.parent.iterdir()} & {RING_SUFFIX, JOURNAL_SUFFIX, LOCK_SUFFIX}
    assert not left, f"{left} lie beside a repaired recording"
    check_committed(path)
    steps = check_recovered(path, flight.seed, verdict.told, flight.longest)
    assert repair(path).status == "clean"
    return {"steps": steps}


def _dying_repair(path: Path, after: int) -> None:
    """Repair, and die at the n-th change of a file."""
    left = [after]

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **keywords)

        return call

    for name in ("pwrite", "ftruncate", "fsync", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    repair(path)


def fork(work: Callable[[], Any]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ask(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``work`` says in a process of its own; its error where it raises, or dies, or hangs."""
    reading, writing = os.pipe()

    def answer() -> None:
        try:
            said = work()
        except BaseException:
            said = {"error": traceback.format_exc()}
        os.write(writing, json.dumps(said).encode()[-60_000:])

    signal.alarm(0)
    child = fork(lambda: (signal.alarm(int(PATIENCE)), answer()))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code or not data:
        return {"error": f"the judging process ended with {code}"}
    found: dict[str, Any] = json.loads(data)
    return found


def in_memory() -> dict[str, str]:
    """An environment in which temporary files cost no sync: these tests are about kills, not disks."""
    memory = Path("/dev/shm")
    return {"TMPDIR": str(memory)} if os.access(memory, os.W_OK) else {}


def _died(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _complaint(folder: Path) -> str:
    return ", ".join(str(p.relative_to(folder)) for p in sorted(folder.rglob("*")))
