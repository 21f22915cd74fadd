"""Watching a recording: how long a row takes from log() to a reader, and what readers cost the writer.

    python benchmarks/live.py
    python benchmarks/live.py --quick

A writer in a process of its own logs the time of each call; a reader in another one follows it and
subtracts. That at several rates, from ten steps a second to as many as it can, with ``enable_swmr=True`` and
without. Where the writer keeps a rate, its calls are timed as well: one of them in a second may write the
file before it stores its row, and no reader has that before; so the age of a row is told from the beginning
of its call and from its end.

Then a writer at full speed beside another process that by turns does nothing and something: it follows, or
began to and was stopped, opens the recording anew all the time, or only computes. The last one reads nothing,
so what it costs is its share of the processors, and no reader's doing. The processor time that the writer
itself takes for a step tells whether there is more. Alone and beside alternate within a second, because the
speed of a machine that others use as well changes from one run to the next.
What ``enable_swmr=True`` takes in the file is told by ``shown.py``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness import HERE, RESULTS, environment, save, summary
from live_sides import READERS
from tqdm import tqdm

RATES = (10, 100, 1_000, 10_000, 0)
"""Steps a second; 0 is as many as it can."""
SECONDS = 5.0
STEPS = 10_000_000


def _start(what: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "live_sides.py"), what, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _begin(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.flush()


def _both(scratch: str | None, write: tuple[object, ...], reader: tuple[str, ...]) -> dict[str, Any]:
    """What a writer and a reader measured."""
    with tempfile.TemporaryDirectory(prefix="flightrec-live-", dir=scratch) as folder:
        processes = _start("write", folder, *write), _start(reader[0], folder, *reader[1:])
        _line(processes[1])
        _begin(processes[0])
        found: dict[str, Any] = {}
        for process in processes:
            found |= json.loads(_line(process))
            process.wait()
    return found


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each writer that keeps a rate")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each writer at full speed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="half a second, 3,000,000 steps, one repeat")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.steps, arguments.repeats = 0.5, 3_000_000, 1
    before = environment(arguments.scratch)
    lags: dict[str, dict[str, Any]] = {"enable_swmr": {}, "without": {}}
    beside: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
    scratch = arguments.scratch
    with tqdm(
        total=2 * len(RATES) + arguments.repeats * len(READERS),
        unit="run",
        disable=None,
    ) as bar:
        for rate in RATES:
            steps = round(rate * arguments.seconds) or arguments.steps
            for how, interval in (("enable_swmr", 1), ("without", 0)):
                lags[how][str(rate or "full")] = _both(scratch, (rate, steps, interval), ("read",))
                bar.update()
        for _ in range(arguments.repeats):
            for name, runs in beside.items():
                runs.append(_both(scratch, (0, arguments.steps, 1), ("alternate", name)))
                bar.update()
    for how, by_rate in lags.items():
        print(f"\n{how:>16}{'reached':>12}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}{'after log(), p99':>20}")
        for name, one in by_rate.items():
            shown = "".join(f"{one['ms'][key]:>10.2f}" for key in ("p50", "p99", "max"))
            after = f"{one['after_log_ms']['p99']:>20.2f}" if "after_log_ms" in one else ""
            print(f"{name:>16}{one['steps_per_s']:>12,.0f}{shown}{after}")
    print(
        f"\n{'beside one that':>16}{'steps/s':>12}{'of alone':>20}{'CPU/step of alone':>20}{'its CPUs':>10}"
    )
    summaries = {
        name: {key: summary([one[key] for one in runs]) for key in runs[0]} for name, runs in beside.items()
    }
    for name, one in summaries.items():
        rate, cpu = one["rate_of_alone"], one["cpu_of_alone"]
        print(
            f"{name:>16}{one['steps_per_s_beside']['median']:>12,.0f}"
            + "".join(f"{x['median']:>9.1%} {x['min']:>4.0%}-{x['max']:>4.0%}" for x in (rate, cpu))
            + f"{one['processors_of_reader']['median']:>10.2f}"
        )
    record = {"environment": before, "seconds": arguments.seconds, "steps": arguments.steps, "lag": lags}
    record |= {"beside": summaries}
    saved = save("live-quick" if arguments.quick else "live", record, arguments.output)
    print(f"\nsaved {saved}")


if __name__ == "__main__":
    main()
