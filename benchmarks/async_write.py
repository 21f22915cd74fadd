"""async_write=True against False: which should be the default?

    python benchmarks/async_write.py

Two questions. How long does a whole recording take (the writer thread shares the interpreter's lock
with the simulation, but NumPy, deflate and HDF5 let go of it)? And how long may one log() call take
(without the thread, the call that fills a block encodes and writes it)? The simulation here does
nothing at all, which is the thread's worst case: a real one leaves it more time.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import latency
from harness import RESULTS, environment, measure, save, summary
from tqdm import tqdm
from workloads import SEED

SCENARIOS = ("facts", "small_high_freq", "stress_test", "dense")


def run(repeats: int, steps: int, scratch: str | None) -> dict[str, Any]:
    """Throughput of each scenario and the latency of a call, with and without the thread."""
    out: dict[str, Any] = {"throughput": {}, "latency_ns": {}}
    with tqdm(total=2 * (len(SCENARIOS) * repeats + 1), unit="run") as bar:
        for scenario in SCENARIOS:
            runs: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
            for _ in range(repeats):
                for thread, done in runs.items():
                    done.append(measure("optimized", scenario, steps, {"async_write": thread}, scratch))
                    bar.update()
            out["throughput"][scenario] = {
                str(thread): {
                    "steps": done[0]["steps"],
                    "steps_per_s": summary([one["steps_per_s"] for one in done]),
                    "cpu_seconds": summary([one["cpu_seconds"] for one in done]),
                    "peak_rss_above_start": summary([one["peak_rss_above_start"] or 0 for one in done]),
                }
                for thread, done in runs.items()
            }
        for thread in (True, False):
            options = {"async_write": thread}
            out["latency_ns"][str(thread)] = latency.measure("optimized", steps, 100, options, scratch)
            bar.update()
    return out


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300_000, help="steps a run, at most")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--scratch")
    arguments = parser.parse_args()
    before = environment(arguments.scratch)
    result = run(arguments.repeats, arguments.steps, arguments.scratch)
    print(
        f"{'':18}{'steps':>10}{'async steps/s':>16}{'sync steps/s':>16}{'async/sync':>12}{'MB':>8}{'MB':>6}"
    )
    for scenario, both in result["throughput"].items():
        memory = {thread: figures["peak_rss_above_start"]["median"] / 1e6 for thread, figures in both.items()}
        speed = {thread: figures["steps_per_s"]["median"] for thread, figures in both.items()}
        print(
            f"{scenario:18}{both['True']['steps']:>10,}{speed['True']:>16,.0f}{speed['False']:>16,.0f}"
            f"{speed['True'] / speed['False']:>12.2f}{memory['True']:>8.0f}{memory['False']:>6.0f}"
        )
    print()
    latency.print_table({f"async_write={thread}": row for thread, row in result["latency_ns"].items()})
    record = {"environment": before, "seed": SEED, **result}
    print(f"\nsaved {save('async_write', record, arguments.output)}")


if __name__ == "__main__":
    main()
