"""Kill a store at random instants, and after each of its file operations; see ``tests/crash/storage.py``.

python benchmarks/storage_crash.py --kills 1000 --sweep
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # forked children have no other threads to wait for
sys.path.insert(0, str(Path(__file__).parents[1]))

from harness import RESULTS, environment, save
from tqdm import tqdm

from tests.crash import shim
from tests.crash.storage import Flight, fly, sweep


def account(flights: Iterable[Flight], total: int | None) -> dict[str, Any]:
    """What became of all of them."""
    kills = ended = objects = calls = 0
    plain: collections.Counter[str] = collections.Counter()
    failures = []
    for flight in tqdm(flights, total=total, unit="kill", mininterval=1.0, disable=None):
        verdict = fly(flight)
        kills, ended = kills + (not verdict.ended), ended + verdict.ended
        objects, calls = objects + verdict.objects, calls + verdict.returned
        plain[verdict.plain] += 1
        if verdict.error or verdict.plain == "refused":
            failures.append({"seed": flight.seed, "kill_after": flight.kill_after, **vars(verdict)})
            print(failures[-1]["error"] or verdict.plain)
    return {
        "kills": kills,
        "ended_before_the_kill": ended,
        "calls_that_had_returned": calls,
        "objects_compared": objects,
        "plain_opens": dict(plain),
        "failures": failures,
    }


def main() -> None:
    """Parse, kill, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000, help="kills at random instants")
    parser.add_argument("--sweep", action="store_true", help="also kill after file operations")
    parser.add_argument("--stride", type=int, default=1, help="of the sweep")
    parser.add_argument("--calls", type=int, default=60, help="of the sweep's work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.sweep and "flightrec-shim" not in os.environ.get("LD_PRELOAD", ""):
        os.execve(sys.executable, [sys.executable, *sys.argv], shim.environment())
    results = {"environment": environment(), "seed": arguments.seed}
    flights = (Flight.at_random(arguments.seed + n) for n in range(arguments.kills))
    results["random"] = account(flights, arguments.kills)
    if arguments.sweep:
        results["sweep"] = account(sweep(arguments.seed, arguments.calls, arguments.stride, {}), None)
    for mode in ("random", "sweep"):
        if mode in results:
            print(mode, {key: value for key, value in results[mode].items() if key != "failures"})
    print(f"saved {save('storage_crash', results, arguments.output)}")
    if any(results[mode]["failures"] for mode in ("random", "sweep") if mode in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
