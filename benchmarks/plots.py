"""Pictures of what the benchmarks saved.

    python benchmarks/plots.py                    from benchmarks/results, into it
    python benchmarks/plots.py --results FOLDER

Draws nothing of a benchmark that has not been run there; of one that has, the full run if there is one, else
the quick one. The colours are those of Okabe and Ito, which people who are blind to some tell apart, and
lines carry their names.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
BLUE, SKY, RED, GREEN, GREY, PALE = "#0072b2", "#56b4e9", "#d55e00", "#009e73", "#777777", "#e6b08a"
DPI = 150
LABELS = {
    "optimized": "flightrec",
    "optimized, python": "flightrec, pure Python",
    "optimized, same steps": "flightrec",
    "standard": "standard exporter",
    "standard, no compression": "standard, no filter",
}
COLORS = {
    "optimized": BLUE,
    "optimized, python": SKY,
    "optimized, same steps": BLUE,
    "standard": RED,
    "standard, no compression": PALE,
}


def scenarios(record: dict[str, Any], path: Path) -> Path:
    """Speed, size and spikes of every workload of benchmark.py, side by side."""
    results = record["results"]
    figure = _figure(12, 4.2)
    speed, size_, spikes = figure.subplots(1, 3)
    rates = ("optimized", "optimized, python", "standard")
    _bars(speed, results, lambda case: case["steps_per_s"]["median"], rates)
    speed.set(title="timesteps/s, opening to closed file", yscale="log")
    files = ("optimized, same steps", "standard", "standard, no compression")
    _bars(size_, results, lambda case: case["bytes_per_step"], files)
    size_.set(title="bytes a timestep, whole file, same steps", yscale="log")
    _bars(spikes, results, lambda case: case["spike_bytes_over_shannon"], ("optimized", "standard"))
    spikes.axhline(1, color="black", lw=0.8, ls=":")
    spikes.set(title="bytes of spikes over the Shannon bound")
    for axes in (speed, size_, spikes):
        axes.margins(y=0.2)
        axes.set_xticks(range(len(results)), [name.replace("_", "\n") for name in results], fontsize=8)
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncol=2, frameon=False)
    return _save(figure, path)


def rate(record: dict[str, Any], path: Path) -> Path:
    """Timesteps a second against the number of neurons."""
    figure = _figure(7, 4.2)
    axes = figure.subplots()
    sweep = record["neurons"]
    neurons = [one["neurons"] for one in sweep]
    for label in ("optimized", "optimized, python", "standard"):
        values = [one["results"][label]["steps_per_s"] for one in sweep]
        low, high = ([one[end] for one in values] for end in ("min", "max"))
        axes.fill_between(neurons, low, high, color=COLORS[label], alpha=0.2, lw=0)
        median = [one["median"] for one in values]
        axes.plot(neurons, median, "o-", color=COLORS[label], ms=4)
        below = label == "optimized, python"
        axes.annotate(
            LABELS[label],
            (neurons[1], median[1]),
            (0, -14 if below else 8),
            textcoords="offset points",
            ha="center",
            color="#2a7fb0" if below else COLORS[label],
            fontsize=9,
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="neurons (2 % spike in a step, v every 100 steps)",
        ylabel="timesteps/s, opening to closed file",
    )
    axes.margins(y=0.12)
    axes.grid(alpha=0.25, lw=0.6)
    return _save(figure, path)


def size(record: dict[str, Any], path: Path) -> Path:
    """Bytes of spikes against their rate, with the Shannon bound of independent ones."""
    import numpy as np

    found = record["spikes"]
    independent = sorted(
        (one for name, one in found.items() if name.startswith("independent") and one["rate"] < 0.1),
        key=lambda one: float(one["rate"]),
    )
    scale = 1000 / 8  # bits a cell to bytes a thousand cells
    figure = _figure(7, 4.2)
    axes = figure.subplots()
    p = np.linspace(1e-5, 0.06, 600)
    bound = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    axes.plot(p * 100, bound * scale, color="black", lw=1.2)
    axes.axhline(scale, color=GREY, lw=1.2, ls="--")
    axes.text(0.05, scale - 1.5, "packed raster, one bit a cell", color=GREY, fontsize=9, va="top")
    rates = [one["rate"] * 100 for one in independent]
    per = [one["bytes"] / (one["steps"] * one["neurons"]) * 1000 for one in independent]
    axes.plot(rates, per, "o", color=BLUE, ms=6, zorder=3)
    axes.annotate(
        "flightrec, independent spikes",
        (rates[-2], per[-2]),
        (-8, 8),
        textcoords="offset points",
        ha="right",
        color=BLUE,
        fontsize=9,
    )
    low = rates[-1] - 0.9
    height = float(np.interp(low / 100, p, bound)) * scale
    axes.annotate(
        "Shannon bound\nof independent spikes",
        (low, height),
        (10, -24),
        textcoords="offset points",
        fontsize=9,
    )
    for name, side in (("bursts", 1), ("volleys", -1), ("travelling wave", 1)):
        one = found[name]
        x, y = one["rate"] * 100, one["bytes"] / (one["steps"] * one["neurons"]) * 1000
        axes.plot(x, y, "D", color=GREEN, ms=5, zorder=3)
        place = (8 * side, -4 if side > 0 else 0)
        align = "left" if side > 0 else "right"
        style = {"color": GREEN, "fontsize": 9, "ha": align, "va": "center"}
        axes.annotate(name, (x, y), place, textcoords="offset points", **style)
    axes.set(
        xlabel="neurons that spike in a step (%)",
        ylabel="bytes of spikes per 1,000 neuron-steps",
        xlim=(0, 6),
        ylim=(0, scale * 1.06),
    )
    return _save(figure, path)


def latency(record: dict[str, Any], path: Path) -> Path:
    """Which share of the calls takes longer than so long."""
    import numpy as np

    figure = _figure(7, 4.2)
    axes = figure.subplots()
    edges = np.array(record["edges_ns"]) / 1e3
    colors = {"empty method": GREY, "log()": BLUE, "log(), pure Python": RED}
    least = 1.0
    for name, color in colors.items():
        figures = record["nanoseconds"].get(name)
        if figures is None:
            continue
        counts = np.array(figures["counts"])
        slower = 1 - np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
        shown = slower > 0.5 / counts.sum()
        least = min(least, float(slower[shown].min()))
        axes.step(edges[shown], slower[shown], where="post", color=color, lw=1.6, label=name)
    for share, name in ((0.5, "median"), (0.01, "p99"), (0.001, "p99.9")):
        axes.axhline(share, color=GREY, lw=0.6, ls=":")
        axes.text(1.0, share, f" {name}", transform=axes.get_yaxis_transform(), fontsize=8, va="center")
    steps = record["steps"]
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="µs a call",
        ylabel="share of calls that take longer",
        title=f"{steps:,} calls of {record['neurons']} neurons; the slowest write a block",
        ylim=(least / 2, 1.3),
    )
    axes.title.set_fontsize(10)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    return _save(figure, path)


def memory(record: dict[str, Any], path: Path) -> Path:
    """Resident and anonymous memory above the start, over the run."""
    samples = record["samples"]
    figure = _figure(7, 3.6)
    axes = figure.subplots()
    steps = [one["step"] / 1e6 for one in samples[1:]]
    names = {
        "resident": (BLUE, "resident, the ring's mapped pages included"),
        "anonymous": (GREEN, "anonymous: the process's own"),
    }
    for field, (color, name) in names.items():
        above = [(one[field] - samples[0][field]) / 1e6 for one in samples[1:]]
        axes.plot(steps, above, color=color, lw=1.6)
        place = (steps[len(steps) // 2], max(above))
        axes.annotate(name, place, (0, 5), textcoords="offset points", ha="center", color=color, fontsize=9)
    axes.set(
        xlabel=f"million timesteps of {record['neurons']} neurons",
        ylabel="memory above the start (MB)",
        ylim=(0, None),
    )
    axes.margins(x=0.02, y=0.15)
    return _save(figure, path)


DRAWN: tuple[tuple[str, str, Callable[[dict[str, Any], Path], Path]], ...] = (
    ("benchmark", "benchmark", scenarios),
    ("benchmark", "neurons", rate),
    ("size", "size", size),
    ("latency", "latency", latency),
    ("memory", "memory", memory),
)
"""Which result becomes which picture, and how."""


def draw(folder: Path) -> list[Path]:
    """Every picture whose result is in the folder; those that were drawn."""
    drawn = []
    for result, picture, plot in DRAWN:
        for suffix in ("", "-quick"):
            saved = folder / f"{result}{suffix}.json"
            if not saved.exists():
                continue
            record = json.loads(saved.read_text())
            try:
                drawn.append(plot(record, folder / f"{picture}{suffix}.png"))
            except KeyError as missing:
                print(f"{saved.name} was saved before there was {missing}: run it again for {picture}.png")
            break
    return drawn


def _bars(axes: Any, results: dict[str, Any], figure: Any, labels: Iterable[str]) -> None:
    present = [label for label in labels if all(label in cases for cases in results.values())]
    width = 0.84 / len(present)
    for column, label in enumerate(present):
        places = [row + (column - (len(present) - 1) / 2) * width for row in range(len(results))]
        values = [figure(cases[label]) for cases in results.values()]
        bars = axes.bar(places, values, width, color=COLORS[label], label=LABELS[label])
        axes.bar_label(bars, [_short(value) for value in values], fontsize=7, padding=3, rotation=90)


def _short(value: float) -> str:
    for unit, scale in (("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{unit}"
    return f"{value:.3g}"


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> Path:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=DPI)
    return path


def main() -> None:
    """Parse and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    for path in draw(parser.parse_args().results):
        print(f"saved {path}")


if __name__ == "__main__":
    main()
