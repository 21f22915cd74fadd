"""The optimized exporter against the standard one, over six workloads and populations of any size.

    python benchmarks/benchmark.py                       everything, some minutes
    python benchmarks/benchmark.py --quick               a look, some seconds
    python benchmarks/benchmark.py --scenarios facts     one workload

Both exporters get the same prepared inputs, each in a fresh process, in turns, and ours with the compiled
log() (where it was built) and without. The standard exporter is hundreds of times slower and is timed on
fewer steps (the table says how many); sizes are therefore compared on recordings of those same steps.
Speed counts from before the constructor to the closed file. Then plots.py draws what is saved so far.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import plots
from harness import RESULTS, environment, measure, save, summary
from tqdm import tqdm
from workloads import NEURONS, SEED, WORKLOADS


@dataclass(frozen=True)
class Case:
    """What is measured: an exporter with options, on all steps or on the few that the standard one gets."""

    exporter: str
    options: dict[str, Any] = field(default_factory=dict)
    few: bool = False
    hot_path: str | None = None


CASES = {
    "optimized": Case("optimized"),
    "optimized, python": Case("optimized", hot_path="python"),
    "standard": Case("standard", few=True),
    "optimized, same steps": Case("optimized", few=True),
    "standard, no compression": Case("standard", {"compression": None}, few=True),
}
SWEPT = ("optimized", "optimized, python", "standard")
FIGURES = ("steps_per_s", "loop_steps_per_s", "cpu_seconds", "file_bytes", "peak_rss_above_start")


def run(
    works: list[str], labels: Sequence[str], repeats: int, few: int, limit: int, scratch: str | None
) -> dict[str, Any]:
    """Measure; of each workload all repeats of every case, and their medians."""
    results: dict[str, Any] = {}
    with tqdm(total=len(works) * repeats * len(labels), unit="run", disable=None) as bar:
        for work in works:
            runs: dict[str, list[dict[str, Any]]] = {label: [] for label in labels}
            for _ in range(repeats):
                for label in labels:
                    bar.set_description(f"{work}, {label}")
                    case = CASES[label]
                    steps = few if case.few else limit
                    runs[label].append(
                        measure(case.exporter, work, steps, case.options, scratch, case.hot_path)
                    )
                    bar.update()
            results[work] = {label: _condense(repeated) for label, repeated in runs.items()}
    return results


def _condense(repeated: list[dict[str, Any]]) -> dict[str, Any]:
    first = repeated[0]
    out: dict[str, Any] = {
        "steps": first["steps"],
        "hot_path": first["hot_path"],
        "bytes_per_step": first["file_bytes"] / first["steps"],
        "spike_bytes_over_shannon": first["spike_bytes"] / first["shannon_bytes"],
        "spike_and_clock_bytes_over_shannon": (first["spike_bytes"] + first["spike_clock_bytes"])
        / first["shannon_bytes"],
    }
    for figure in FIGURES:
        values = [one[figure] for one in repeated if one[figure] is not None]
        out[figure] = summary(values) if values else None
    return {**out, "repeats": repeated}


def print_table(results: dict[str, Any]) -> None:
    """The medians, and what the optimized exporter gains, for people."""
    titles = {"steps": 10, "steps/s": 12, "loop only": 12, "bytes/step": 12, "peak MB": 9, "spikes/H": 10}
    head = " " * 26 + "".join(title.rjust(width) for title, width in titles.items())
    for scenario, cases in results.items():
        work = WORKLOADS[scenario]
        print(f"\n{scenario}: {work.episodes} episodes, {work.neurons} neurons at {work.rate:.1%}\n{head}")
        for label, case in cases.items():
            peak = case["peak_rss_above_start"]
            print(
                f"{label:26}{case['steps']:>10,}{case['steps_per_s']['median']:>12,.0f}"
                f"{case['loop_steps_per_s']['median']:>12,.0f}{case['bytes_per_step']:>12.1f}"
                f"{peak['median'] / 1e6 if peak else float('nan'):>9.1f}"
                f"{case['spike_bytes_over_shannon']:>10.3f}"
            )
        gain = gains(cases)
        print(
            f"  {gain['speed']:,.0f} × the standard exporter's steps/s ({cases['optimized']['hot_path']}), "
            f"{gain['speed_python']:,.0f} × in pure Python. Recorded with the same steps,\n"
            f"  the standard exporter's file is {gain['size']:.1f} × as large as ours, without compression "
            f"{gain['size_uncompressed']:.1f} ×"
        )


def print_sweep(results: dict[str, Any]) -> None:
    """Steps/s by number of neurons."""
    print(f"\n{'at 2 %, steps/s':26}" + "".join(label.rjust(20) for label in SWEPT))
    for name, cases in results.items():
        rates = "".join(f"{cases[label]['steps_per_s']['median']:>20,.0f}" for label in SWEPT)
        print(f"{name:26}{rates}")


def gains(cases: dict[str, Any]) -> dict[str, float]:
    """How many times faster, and how many times smaller on the same steps."""
    small = cases["optimized, same steps"]["bytes_per_step"]
    speeds = {label: case["steps_per_s"]["median"] for label, case in cases.items()}
    return {
        "speed": speeds["optimized"] / speeds["standard"],
        "speed_python": speeds["optimized, python"] / speeds["standard"],
        "size": cases["standard"]["bytes_per_step"] / small,
        "size_uncompressed": cases["standard, no compression"]["bytes_per_step"] / small,
    }


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenarios", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="NAME")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--standard-steps", type=int, default=10_000, help="steps the standard exporter gets")
    parser.add_argument("--quick", action="store_true", help="1 repeat of 1,000 and 10,000 steps")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON and the plot")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    arguments = parser.parse_args()
    repeats, few, limit = arguments.repeats, arguments.standard_steps, 1_000_000
    if arguments.quick:
        repeats, few, limit = 1, 1_000, 10_000

    before = environment(arguments.scratch)
    results = run(arguments.scenarios, list(CASES), repeats, few, limit, arguments.scratch)
    print_table(results)
    # Populations are compared by their ratios over orders of magnitude: the standard one needs few steps.
    sweep = run(list(NEURONS), SWEPT, repeats, min(few, 2_000), limit, arguments.scratch)
    print_sweep(sweep)
    name = "benchmark-quick" if arguments.quick else "benchmark"
    record = {
        "environment": before,
        "seed": SEED,
        "workloads": {name: vars(WORKLOADS[name]) for name in results},
        "gains": {name: gains(cases) for name, cases in results.items()},
        "results": results,
        "neurons": [{**vars(NEURONS[name]), "results": cases} for name, cases in sweep.items()],
    }
    print(f"\nsaved {save(name, record, arguments.output)}")
    for path in plots.draw(arguments.output):
        print(f"saved {path}")


if __name__ == "__main__":
    main()
