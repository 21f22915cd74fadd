"""Watching a recording: how long a row takes from log() to a reader, and what readers cost the writer.

    python benchmarks/live.py
    python benchmarks/live.py --quick

A writer in a process of its own logs the time of each call; a reader in another one follows it and
subtracts. That at several rates, from ten steps a second to as many as it can, with ``enable_swmr=True`` and
without. Where the writer keeps a rate, its calls are timed as well: one of them in a second may write the
file before it stores its row, and no reader has that before; so the age of a row is told from the beginning
of its call and from its end.

Then the writer's rate alone, and beside one other process that follows it, was stopped, opens the recording
anew all the time, or only computes: the last one reads nothing, so what it costs is its share of the
processors, and no reader's doing. The processor time that the writer itself takes for a step tells more.

And what it takes in the file that tools which know HDF5 alone see everything with ``enable_swmr=True``, by
the number of rows that are logged from one look to the next, which is the rate times ``flush_interval``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
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
ROWS_A_LOOK = (10, 100, 1_000, 10_000)
SIZE_RATE, SIZE_STEPS = 5_000, 40_000
"""Steps a second, and steps, where sizes are compared; the interval follows from the rows of a look."""
READERS = {"none": None, "follows": "read", "stopped": "read", "opens anew": "reopen", "computes": "compute"}
RETURNED = "returned.npy"
"""When each call of ``log()`` was over, of a writer that keeps a rate: a file beside the recording."""
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}


def percentiles(seconds: Any) -> dict[str, float]:
    """In milliseconds."""
    found = np.percentile(seconds, list(PERCENTILES.values())) * 1e3
    return dict(zip(PERCENTILES, found.tolist(), strict=True))


def processor_seconds() -> float:
    """Of this process, its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def write(folder: str, rate: int, steps: int, interval: float = 1.0) -> None:
    """Log so many steps, each with the time of its call; prints what the loop took.

    An ``interval`` of 0 is for a recording without ``enable_swmr``.
    """
    from recorder import DataExporter

    rng = np.random.default_rng(0)
    spikes = list(rng.random((1000, NEURONS)) < 0.02)
    v = rng.normal(size=NEURONS)
    now = time.monotonic
    options: dict[str, Any] = {"enable_swmr": True, "flush_interval": interval} if interval else {}
    called, returned = np.zeros((2, steps if rate else 0))
    with DataExporter("live", folder, **options) as exporter:
        exporter.start_episode()
        log = exporter.log
        input()  # the reader is there
        used = processor_seconds()
        begun = due = now()
        for step in range(steps):
            at = now()
            log(
                timestep=step,
                neural_state={"v": v},
                spikes=spikes[step % 1000],
                behavior={"at": at},
                reward=0.0,
            )
            if rate:
                called[step], returned[step] = at, now()
                due += 1 / rate
                time.sleep(max(0.0, due - now()))
        took = {
            "steps_per_s": steps / (now() - begun),
            "cpu_us_a_step": (processor_seconds() - used) / steps * 1e6,
        }
        if rate:
            np.save(Path(folder) / RETURNED, returned)
            took["log_ms"] = percentiles(returned - called)
        print(json.dumps(took), flush=True)
        exporter.end_episode(success=True)


def read(folder: str) -> None:
    """Follow, and print how old rows were when they came."""
    from loaders import LiveExperiment

    lags: list[Any] = []
    steps: list[Any] = []
    rows = 0
    with LiveExperiment(folder, wait=60) as live:
        print("ready", flush=True)
        for update in live.follow(history=True):
            at = update.streams.get("behavior/at")
            if at is not None:
                # Of every row its own: they wait for one another within an update.
                ages = time.monotonic() - at.values
                every = max(1, len(ages) // 100)
                lags.append(ages[::every])
                # When the row came, and which one it is.
                steps.append((at.values[::every] + lags[-1], at.timesteps[::every]))
                rows += len(ages)
    found: dict[str, Any] = {"rows": rows, "updates": len(lags), "ms": percentiles(np.concatenate(lags))}
    if (Path(folder) / RETURNED).exists():
        came, timesteps = (np.concatenate(parts) for parts in zip(*steps, strict=True))
        # A row is there a moment before its call is over.
        after = np.maximum(came - np.load(Path(folder) / RETURNED)[timesteps], 0.0)
        found["after_log_ms"] = percentiles(after)
    found["reader_cpu_s"] = processor_seconds()
    print(json.dumps(found), flush=True)


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


def compute() -> None:
    """Keep a processor busy."""
    print("ready", flush=True)
    while True:
        pass


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


def lag(rate: int, interval: float, seconds: float, steps: int, scratch: str | None) -> dict[str, Any]:
    """One writer at this rate, one reader."""
    with tempfile.TemporaryDirectory(prefix="flightrec-live-", dir=scratch) as folder:
        writer = _start("write", folder, rate, round(rate * seconds) or steps, interval)
        reader = _start("read", folder)
        _line(reader)
        _begin(writer)
        took: dict[str, Any] = json.loads(_line(writer))
        found: dict[str, Any] = json.loads(_line(reader))
        writer.wait()
        reader.wait()
    return {**took, **found}


def beside(readers: str, steps: int, scratch: str | None) -> dict[str, float]:
    """What a writer at full speed takes beside a process of this kind."""
    with tempfile.TemporaryDirectory(prefix="flightrec-live-", dir=scratch) as folder:
        writer = _start("write", folder, 0, steps)
        what = READERS[readers]
        reader = None if what is None else _start(what, folder)
        if reader is not None:
            _line(reader)
            time.sleep(0.3)
            if readers == "stopped":
                os.kill(reader.pid, signal.SIGSTOP)
        _begin(writer)
        took: dict[str, float] = json.loads(_line(writer))
        writer.wait()
        if reader is not None:
            reader.kill()
            reader.wait()
    return took


def bytes_a_step(rows: int, steps: int, scratch: str | None) -> float:
    """Bytes of the file, where so many rows come between two looks; 0 without ``enable_swmr``."""
    with tempfile.TemporaryDirectory(prefix="flightrec-live-", dir=scratch) as folder:
        writer = _start("write", folder, SIZE_RATE if rows else 0, steps, rows / SIZE_RATE)
        _begin(writer)
        _line(writer)
        writer.wait()
        (path,) = Path(folder).glob("*/experiment_data.h5")
        return path.stat().st_size / steps


def _of_alone(found: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Of each kind, its runs by those alone of the same turns."""
    return {
        name: summary([one / alone for one, alone in zip(runs, found["none"], strict=True)])
        for name, runs in found.items()
    }


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each writer that keeps a rate")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each writer at full speed")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="half a second, 100,000 steps, one repeat")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    parser.add_argument("--do", nargs="+", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.do:
        what, *rest = arguments.do
        {
            "write": lambda: write(rest[0], int(rest[1]), int(rest[2]), *map(float, rest[3:])),
            "read": lambda: read(rest[0]),
            "reopen": lambda: reopen(rest[0]),
            "compute": compute,
        }[what]()
        return
    if arguments.quick:
        arguments.seconds, arguments.steps, arguments.repeats = 0.5, 100_000, 1
    size_steps = SIZE_STEPS // (20 if arguments.quick else 1)
    before = environment(arguments.scratch)
    lags: dict[str, dict[str, Any]] = {"enable_swmr": {}, "without": {}}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
    sizes: dict[str, float] = {}
    with tqdm(
        total=2 * len(RATES) + 1 + len(ROWS_A_LOOK) + arguments.repeats * len(READERS),
        unit="run",
        disable=None,
    ) as bar:
        for rate in RATES:
            for how, interval in (("enable_swmr", 1.0), ("without", 0.0)):
                lags[how][str(rate or "full")] = lag(
                    rate, interval, arguments.seconds, arguments.steps, arguments.scratch
                )
                bar.update()
        for rows in (0, *ROWS_A_LOOK):
            sizes[str(rows or "off")] = bytes_a_step(rows, size_steps, arguments.scratch)
            bar.update()
        for turn in range(arguments.repeats):
            for name in list(READERS)[:: 1 if turn % 2 == 0 else -1]:
                found[name].append(beside(name, arguments.steps, arguments.scratch))
                bar.update()
    rates = {name: [one["steps_per_s"] for one in runs] for name, runs in found.items()}
    costs = {name: [one["cpu_us_a_step"] for one in runs] for name, runs in found.items()}
    for how, by_rate in lags.items():
        print(f"\n{how:>16}{'reached':>12}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}{'after log(), p99':>20}")
        for name, one in by_rate.items():
            shown = "".join(f"{one['ms'][key]:>10.2f}" for key in ("p50", "p99", "max"))
            after = f"{one['after_log_ms']['p99']:>20.2f}" if "after_log_ms" in one else ""
            print(f"{name:>16}{one['steps_per_s']:>12,.0f}{shown}{after}")
    print(f"\n{'beside one that':>20}{'steps/s':>14}{'of alone':>10}{'CPU us/step':>14}{'of alone':>10}")
    of_alone, cost_of_alone = _of_alone(rates), _of_alone(costs)
    for name in READERS:
        rate, cost = summary(rates[name])["median"], summary(costs[name])["median"]
        shown = f"{of_alone[name]['median']:>10.1%}{cost:>14.3f}{cost_of_alone[name]['median']:>10.1%}"
        print(f"{name:>20}{rate:>14,.0f}{shown}")
    print(f"\n{'rows a look':>20}{'bytes/step':>14}{'of off':>10}")
    for name, size in sizes.items():
        print(f"{name:>20}{size:>14.1f}{size / sizes['off']:>10.2f}")
    record = {"environment": before, "seconds": arguments.seconds, "steps": arguments.steps, "lag": lags}
    record |= {"rates": rates, "of_alone": of_alone, "bytes_a_step": sizes}
    record |= {"cpu_us_a_step": costs, "cpu_of_alone": cost_of_alone}
    saved = save("live-quick" if arguments.quick else "live", record, arguments.output)
    print(f"\nsaved {saved}")


if __name__ == "__main__":
    main()
