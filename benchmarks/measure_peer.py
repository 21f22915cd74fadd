"""One peer's part in a process of its own: reads a specification as JSON, prints the result as JSON.

``{"do": "measure"}`` records, times, reads back and compares. ``"record"`` records for one that is going to
kill it, telling in shared memory how many calls had returned. ``"read"`` opens with the peer's own reader
what is being written, or what a killed process left. Started by ``peers.py``.

Before the clock starts, each has recorded a few steps elsewhere: what libraries import when they are first
used, half a second and a hundred megabytes for some, says nothing about recording.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from peer import PEERS, protocol
from peer.check import check, collect
from peer.work import WORKLOADS, Given, Work, episodes, prepare
from resident import give_back, peak, reset_peak

RETURNED, SLOW, HURRY = range(3)
"""What is told in shared memory: calls that returned; whether they come slowly now; whether to hurry on."""
PACE = 0.02
"""Seconds between slow calls: whoever commits by the clock gets calls to do it in."""


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Speed, size and memory of one recording that is afterwards read back and compared."""
    module, work, given = _setting(spec)
    with tempfile.TemporaryDirectory(prefix="flightrec-peers-", dir=spec.get("scratch")) as scratch:
        _warm_up(module, work, given, Path(scratch) / "warm")
        folder = Path(scratch) / "recording"
        folder.mkdir()
        give_back()
        before = reset_peak()
        cpu, opened = time.process_time(), time.perf_counter()
        recorder = module.Recorder(folder, work)
        begun = time.perf_counter()
        _run(module, recorder, given, None)
        ended = time.perf_counter()
        recorder.close()
        closed = time.perf_counter()
        cpu, most = time.process_time() - cpu, peak()
        alone = _loop_alone(module, work, given)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        part, error = collect(module.read(folder))
    steps = check(part, given, PEERS[spec["peer"]].scalars)
    if error or steps != work.total:
        raise SystemExit(f"{steps:,} of {work.total:,} steps came back: {error}")
    return {
        "steps": work.total,
        "seconds": closed - opened,
        "loop_seconds": ended - begun,
        "cpu_seconds": cpu,
        "loop_alone_seconds": alone,
        "own_steps_per_s": work.total / max(closed - opened - alone, 1e-9),
        "steps_per_s": work.total / (closed - opened),
        "bytes_per_step": size / work.total,
        "peak_rss_above_start": most - before if before else None,
        "hot_path": _hot_path() if spec["peer"].startswith("flightrec") else None,
        "load_average": os.getloadavg(),
    }


def record(spec: dict[str, Any]) -> None:
    """Record; slowly from the step that is told, until told to hurry; and at the end wait to be killed."""
    module, work, given = _setting(spec)
    told = np.memmap(spec["told"], np.uint64, "r+")
    parent = os.getppid()

    def telling(rows: Any) -> Iterator[Any]:
        for row in rows:
            yield row  # asked for the next: the call for this one has returned
            told[RETURNED] += 1
            if told[RETURNED] >= spec["slow_from"] and not told[HURRY]:
                told[SLOW] = 1
                time.sleep(PACE)

    recorder = module.Recorder(Path(spec["folder"]), work)
    _run(module, recorder, given, telling)
    while os.getppid() == parent:
        time.sleep(PACE)


def read(spec: dict[str, Any]) -> dict[str, Any]:
    """Read first, for others write meanwhile; then compare."""
    module = PEERS[spec["peer"]].load()
    part, error = collect(module.read(Path(spec["folder"])))
    _, _, given = _setting(spec)
    rows = {name: len(values) for name, values in vars(part).items() if values is not None}
    return {"steps": check(part, given, PEERS[spec["peer"]].scalars), "rows": rows, "error": error}


def _setting(spec: dict[str, Any]) -> tuple[Any, Work, Given]:
    work = WORKLOADS[spec["workload"]].shortened(spec["steps"])
    return PEERS[spec["peer"]].load(), work, prepare(work, spec["seed"])


def _warm_up(module: Any, work: Work, given: Given, folder: Path) -> None:
    folder.mkdir()
    little = replace(work, episodes=1, steps=min(work.steps, 32))
    recorder = module.Recorder(folder, little)
    _run(module, recorder, replace(given, work=little), None)
    recorder.close()


def _run(module: Any, recorder: Any, given: Given, wrap: Any) -> None:
    drive = getattr(module, "drive", protocol.drive)
    for rows in episodes(given):
        recorder.start_episode()
        drive(recorder, wrap(rows) if wrap else rows)
        recorder.end_episode()


class _Nothing:
    """Stands for a recorder, or for flightrec's exporter, and records nothing."""

    def __init__(self) -> None:
        self.exporter = self

    def log(
        self,
        timestep: Any = None,
        neural_state: Any = None,
        spikes: Any = None,
        behavior: Any = None,
        reward: Any = None,
        last: Any = None,
    ) -> None:
        """Nothing, whether it comes by keyword or in order."""

    def start_episode(self) -> None:
        """Nothing."""

    def end_episode(self) -> None:
        """Nothing."""


def _loop_alone(module: Any, work: Work, given: Given) -> float:
    """Seconds of the same loop around a method that does nothing: the program's own."""
    least = float("inf")
    for _ in range(2):
        begun = time.perf_counter()
        _run(module, _Nothing(), replace(given, work=work), None)
        least = min(least, time.perf_counter() - begun)
    return least


def _hot_path() -> str:
    import recorder

    return str(recorder.HOT_PATH)


if __name__ == "__main__":
    specification = json.loads(sys.argv[1])
    result = {"measure": measure, "record": record, "read": read}[specification["do"]](specification)
    json.dump(result, sys.stdout)
