"""Watching a recording: how long a row takes from log() to a reader, and what readers cost the writer.

    python benchmarks/live.py
    python benchmarks/live.py --quick

A writer in a process of its own logs the time of each call; a reader in another one follows it and
subtracts. That at several rates, from ten steps a second to as many as it can. Then the writer's rate alone,
and beside readers of which one follows, one was stopped and one opens the recording anew all the time: on
as many processors as there are, they compete with it for these, and with nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout's, as in the processes that measure

import numpy as np
from harness import HERE, RESULTS, environment, save, summary
from tqdm import tqdm

RATES = (10, 100, 1_000, 10_000, 0)
"""Steps a second; 0 is as many as it can."""
SECONDS = 5.0
STEPS = 2_000_000
NEURONS = 100
READERS = ("none", "follows", "stopped", "opens anew")


def write(folder: str, rate: int, steps: int) -> None:
    """Log so many steps, each with the time of its call; prints the steps a second of the loop."""
    from recorder import DataExporter

    rng = np.random.default_rng(0)
    spikes = list(rng.random((1000, NEURONS)) < 0.02)
    v = rng.normal(size=NEURONS)
    now = time.monotonic
    with DataExporter("live", folder, enable_swmr=True) as exporter:
        exporter.start_episode()
        log = exporter.log
        input()  # the reader is there
        begun = due = now()
        for step in range(steps):
            log(
                timestep=step,
                neural_state={"v": v},
                spikes=spikes[step % 1000],
                behavior={"at": now()},
                reward=0.0,
            )
            if rate:
                due += 1 / rate
                time.sleep(max(0.0, due - now()))
        print(steps / (now() - begun), flush=True)
        exporter.end_episode(success=True)


def read(folder: str) -> None:
    """Follow, and print how old rows were when they came."""
    from loaders import LiveExperiment

    lags, rows = [], 0
    with LiveExperiment(folder, wait=60) as live:
        print("ready", flush=True)
        for update in live.follow(history=True):
            at = update.streams.get("behavior/at")
            if at is not None:
                # Of every row its own: they wait for one another within an update.
                ages = time.monotonic() - at.values
                lags.append(ages[:: max(1, len(ages) // 100)])
                rows += len(ages)
    found = np.concatenate(lags) * 1e3
    names = ("p50", "p90", "p99", "max")
    figures = dict(zip(names, np.percentile(found, (50, 90, 99, 100)).tolist(), strict=True))
    print(json.dumps({"rows": rows, "updates": len(lags), "ms": figures}), flush=True)


def reopen(folder: str) -> None:
    """Open the recording, look at its newest rows, and close it, again and again."""
    from loaders import LiveExperiment, NotRunningError, ReadError

    print("ready", flush=True)
    while True:
        try:
            with LiveExperiment(folder, wait=60) as live:
                live.tail("behavior/at", 100)
        except (NotRunningError, ReadError, KeyError):
            time.sleep(0.01)


def _start(what: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "live.py"), "--do", what, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _begin(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.flush()


def lag(rate: int, seconds: float, steps: int, scratch: str | None) -> dict[str, Any]:
    """One writer at this rate, one reader."""
    with tempfile.TemporaryDirectory(prefix="flightrec-live-", dir=scratch) as folder:
        writer = _start("write", folder, rate, round(rate * seconds) or steps)
        reader = _start("read", folder)
        _line(reader)
        _begin(writer)
        reached = float(_line(writer))
        found: dict[str, Any] = json.loads(_line(reader))
        writer.wait()
        reader.wait()
    return {"steps_per_s": reached, **found}


def beside(readers: str, steps: int, scratch: str | None) -> float:
    """Steps a second of a writer at full speed beside a reader of this kind."""
    with tempfile.TemporaryDirectory(prefix="flightrec-live-", dir=scratch) as folder:
        writer = _start("write", folder, 0, steps)
        what = {"follows": "read", "stopped": "read", "opens anew": "reopen"}.get(readers)
        reader = None if what is None else _start(what, folder)
        if reader is not None:
            _line(reader)
            time.sleep(0.3)
            if readers == "stopped":
                os.kill(reader.pid, signal.SIGSTOP)
        _begin(writer)
        reached = float(_line(writer))
        writer.wait()
        if reader is not None:
            reader.kill()
            reader.wait()
    return reached


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each writer that keeps a rate")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each writer at full speed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="half a second, 100,000 steps, one repeat")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    parser.add_argument("--do", nargs="+", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.do:
        what, *rest = arguments.do
        {
            "write": lambda: write(rest[0], int(rest[1]), int(rest[2])),
            "read": lambda: read(rest[0]),
            "reopen": lambda: reopen(rest[0]),
        }[what]()
        return
    if arguments.quick:
        arguments.seconds, arguments.steps, arguments.repeats = 0.5, 100_000, 1
    before = environment(arguments.scratch)
    lags: dict[str, Any] = {}
    rates: dict[str, list[float]] = {name: [] for name in READERS}
    with tqdm(total=len(RATES) + arguments.repeats * len(READERS), unit="run", disable=None) as bar:
        for rate in RATES:
            lags[str(rate or "full")] = lag(rate, arguments.seconds, arguments.steps, arguments.scratch)
            bar.update()
        for turn in range(arguments.repeats):
            for name in READERS if turn % 2 == 0 else READERS[::-1]:
                rates[name].append(beside(name, arguments.steps, arguments.scratch))
                bar.update()
    print(f"{'steps a second':>16}{'reached':>12}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    for name, found in lags.items():
        shown = "".join(f"{found['ms'][key]:>10.2f}" for key in ("p50", "p99", "max"))
        print(f"{name:>16}{found['steps_per_s']:>12,.0f}{shown}")
    print(f"\n{'one reader that':>20}{'steps/s':>14}{'of alone':>10}")
    beside_alone = {}
    for name, found in rates.items():
        pairs = zip(found, rates["none"], strict=True)
        beside_alone[name] = summary([one / alone for one, alone in pairs])
        print(f"{name:>20}{summary(found)['median']:>14,.0f}{beside_alone[name]['median']:>10.1%}")
    record = {"environment": before, "seconds": arguments.seconds, "steps": arguments.steps, "lag": lags}
    record |= {"rates": rates, "of_alone": beside_alone}
    saved = save("live-quick" if arguments.quick else "live", record, arguments.output)
    print(f"\nsaved {saved}")


if __name__ == "__main__":
    main()
