"""Kill recordings that keep steps and store some of them; see ``tests/crash/captures.py``.

python benchmarks/capture_crash.py --kills 1000
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # forked children have no other threads to wait for
sys.path.insert(0, str(Path(__file__).parents[1]))

from harness import RESULTS, environment, save
from tqdm import tqdm

from tests.crash.captures import Flight, fly


def main() -> None:
    """Parse, kill, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    steps, failures = 0, []
    for seed in tqdm(range(arguments.seed, arguments.seed + arguments.kills), unit="kill", disable=None):
        verdict = fly(Flight.at_random(seed))
        steps += verdict.get("steps", 0)
        if verdict.get("error"):
            failures.append({"seed": seed, "error": verdict["error"]})
            print(failures[-1])
    results = {
        "environment": environment(),
        "seed": arguments.seed,
        "kills": arguments.kills,
        "steps_compared": steps,
        "failures": failures,
    }
    print(f"{arguments.kills} kills, {steps:,} steps compared, {len(failures)} failures")
    print(f"saved {save('capture_crash', results, arguments.output)}")
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
