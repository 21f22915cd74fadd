"""The picture of ``windows.json``: what a window takes on the disk, and how long a random one takes.

python benchmarks/windows_plot.py
"""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
from harness import RESULTS

DEFAULT = "float16, no filter"


def plot(result: dict[str, Any], path: Path) -> None:
    """Size against the time of a random window, of each way."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    markers = cycle("osD^vP*X<>")
    for name, found in result["variants"].items():
        if not isinstance(found, dict):
            continue
        x, y = found["window, warm"]["p50_ms"], found["bytes_a_window"] / 1e6
        label = f"{name} (the default)" if name == DEFAULT else name
        color = "black" if name == DEFAULT else None
        axes.plot(x, y, next(markers), color=color, markersize=8, label=label)
    axes.set(
        xlabel="ms for a random window of 306 × 2000, warm (median)",
        ylabel="MB a window",
        xscale="log",
        ylim=(0, None),
    )
    axes.margins(y=0.1)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=9)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    plot(json.loads((RESULTS / "windows.json").read_text()), RESULTS / "windows.png")
