"""The optimized exporter against the standard one, over five workloads.

    python benchmarks/benchmark.py                       everything, some minutes
    python benchmarks/benchmark.py --quick               a look, some seconds
    python benchmarks/benchmark.py --scenarios facts     one workload

Both exporters get the same prepared inputs, each in a fresh process, in turns. The standard exporter
is hundreds of times slower and is timed on fewer steps (the table says how many); sizes are therefore
compared on recordings of those same steps. Speed counts from before the constructor to the closed file.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness import RESULTS, environment, measure, save, summary
from tqdm import tqdm
from workloads import SEED, WORKLOADS

# What is measured of each workload: label, exporter, options, and whether on all steps or on the few
# that the standard exporter is timed on.
CASES = (
    ("optimized", "optimized", {}, False),
    ("standard", "standard", {}, True),
    ("optimized, same steps", "optimized", {}, True),
    ("standard, no compression", "standard", {"compression": None}, True),
)
FIGURES = ("steps_per_s", "loop_steps_per_s", "cpu_seconds", "file_bytes", "peak_rss_above_start")


def run(scenarios: list[str], repeats: int, few: int, limit: int, scratch: str | None) -> dict[str, Any]:
    """Measure; all repeats of every case, and their medians."""
    results: dict[str, Any] = {}
    with tqdm(total=len(scenarios) * repeats * len(CASES), unit="run") as bar:
        for scenario in scenarios:
            runs: dict[str, list[dict[str, Any]]] = {label: [] for label, *_ in CASES}
            for _ in range(repeats):
                for label, exporter, options, same in CASES:
                    bar.set_description(f"{scenario}, {label}")
                    steps = few if same else limit
                    runs[label].append(measure(exporter, scenario, steps, options, scratch))
                    bar.update()
            results[scenario] = {label: _condense(repeated) for label, repeated in runs.items()}
    return results


def _condense(repeated: list[dict[str, Any]]) -> dict[str, Any]:
    first = repeated[0]
    out: dict[str, Any] = {
        "steps": first["steps"],
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
            f"  {gain['speed']:,.0f} × the standard exporter's steps/s. Recorded with the same steps,\n"
            f"  the standard exporter's file is {gain['size']:.1f} × as large as ours, without compression "
            f"{gain['size_uncompressed']:.1f} ×"
        )


def gains(cases: dict[str, Any]) -> dict[str, float]:
    """How many times faster, and how many times smaller on the same steps."""
    small = cases["optimized, same steps"]["bytes_per_step"]
    speeds = {label: case["steps_per_s"]["median"] for label, case in cases.items()}
    return {
        "speed": speeds["optimized"] / speeds["standard"],
        "size": cases["standard"]["bytes_per_step"] / small,
        "size_uncompressed": cases["standard, no compression"]["bytes_per_step"] / small,
    }


def plot(results: dict[str, Any], path: Path) -> None:
    """Speed, size and spikes of every scenario, side by side, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    speed, size, spikes = figure.subplots(1, 3)
    names = list(results)
    _bars(speed, results, lambda case: case["steps_per_s"]["median"], ("optimized", "standard"))
    speed.set_title("timesteps/s, opening to closed file")
    labels = ("optimized, same steps", "standard", "standard, no compression")
    _bars(size, results, lambda case: case["bytes_per_step"], labels)
    size.set_title("bytes a step, whole file, same steps")
    _bars(spikes, results, lambda case: case["spike_bytes_over_shannon"], ("optimized", "standard"))
    spikes.axhline(1, color="black", lw=0.8, ls=":")
    spikes.set_title("spike bytes over the Shannon bound")
    for axes in (speed, size, spikes):
        if axes is not spikes:
            axes.set_yscale("log")
        axes.margins(y=0.15)
        axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names], fontsize=8)
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=2, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


COLORS = {
    "optimized": "#0072b2",
    "optimized, same steps": "#0072b2",
    "standard": "#d55e00",
    "standard, no compression": "#e6b08a",
}


def _bars(axes: Any, results: dict[str, Any], figure: Any, labels: tuple[str, ...]) -> None:
    width = 0.84 / len(labels)
    for column, label in enumerate(labels):
        places = [row + (column - (len(labels) - 1) / 2) * width for row in range(len(results))]
        values = [figure(cases[label]) for cases in results.values()]
        bars = axes.bar(places, values, width, color=COLORS[label], label=label)
        axes.bar_label(bars, [_short(value) for value in values], fontsize=6, padding=1)


def _short(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


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
    results = run(arguments.scenarios, repeats, few, limit, arguments.scratch)
    print_table(results)
    name = "benchmark-quick" if arguments.quick else "benchmark"
    record = {
        "environment": before,
        "seed": SEED,
        "workloads": {name: vars(WORKLOADS[name]) for name in results},
        "gains": {name: gains(cases) for name, cases in results.items()},
        "results": results,
    }
    saved = save(name, record, arguments.output)
    plot(results, saved.with_suffix(".png"))
    print(f"\nsaved {saved} and {saved.with_suffix('.png').name}")


if __name__ == "__main__":
    main()
