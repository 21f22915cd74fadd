"""What log_batch() saves a program that computes many steps at once, beside log() for the same steps.

    python benchmarks/batches.py
    python benchmarks/batches.py --steps 200000

The workload is ``facts``: 100 neurons at 2 % as bools, ``v`` every 100 steps, two floats, a reward.
CPU time of the calling thread, once without what it spends on writing full blocks and once with it; all take
turns in one process, and the best round counts.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from harness import RESULTS, environment, save
from workloads import SEED, Inputs, Workload, generate

from recorder import DataExporter, hotpath
from recorder.writer import Writer

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 3


def by_log(exporter: Any, work: Workload, inputs: Inputs) -> None:
    """Step by step."""
    streams = (inputs.spikes, itertools.cycle(inputs.v), inputs.x, inputs.y, inputs.reward)
    for t, spikes, v, x, y, reward in zip(range(work.steps), *streams, strict=False):
        exporter.log(
            timestep=t, neural_state={"v": v}, spikes=spikes, behavior={"x": x, "y": y}, reward=reward
        )


def by_batch(exporter: Any, work: Workload, columns: dict[str, Any], size: int) -> None:
    """So many steps a call."""
    for first in range(0, work.steps, size):
        rows = slice(first, first + size)
        exporter.log_batch(
            np.arange(first, first + size),
            neural_state={"v": columns["v"][:size]},
            spikes=columns["spikes"][rows],
            behavior={"x": columns["x"][rows], "y": columns["y"][rows]},
            reward=columns["reward"][rows],
        )


def measure(
    work: Workload, log: Callable[[Any], None], path: str, scratch: str | None
) -> tuple[float, float]:
    """Nanoseconds a step without and with writing."""
    real, writing = Writer._write_inline, [0]

    def timed(writer: Writer, **options: Any) -> None:
        begun = time.thread_time_ns()
        real(writer, **options)
        writing[0] += time.thread_time_ns() - begun

    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        mock.patch("recorder.steplog.generate", hotpath.choose(path)[1]),
        mock.patch("recorder.exporter.front", hotpath.front if path == hotpath.HOT_PATH else lambda _: None),
        mock.patch.object(Writer, "_write_inline", timed),
        DataExporter("batches", folder) as exporter,
    ):
        exporter.start_episode()
        begun = time.thread_time_ns()
        log(exporter)
        exporter.flush()
        whole = time.thread_time_ns() - begun
    return (whole - writing[0]) / work.steps, whole / work.steps


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=500_000, help="a multiple of 100,000")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    arguments = parser.parse_args()
    before = environment(arguments.scratch)
    work = Workload("facts", 1, arguments.steps, 100, 0.02)
    inputs = generate(work)
    columns = {name: np.asarray(getattr(inputs, name)) for name in ("spikes", "x", "y", "reward")}
    columns["v"] = np.resize(np.asarray(inputs.v), (max(SIZES), work.neurons))
    ways: dict[str, tuple[str, Callable[[Any], None]]] = {
        f"log(), {path}": (path, lambda exporter: by_log(exporter, work, inputs))
        for path in dict.fromkeys([hotpath.PYTHON, hotpath.HOT_PATH])
    }
    for size in SIZES:
        ways[f"log_batch(), {size:,} steps"] = (
            hotpath.HOT_PATH,
            lambda exporter, size=size: by_batch(exporter, work, columns, size),
        )
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, (path, log) in ways.items():
            took = measure(work, log, path, arguments.scratch)
            best[name] = min(took, best.get(name, took))
    python = best[f"log(), {hotpath.PYTHON}"][0]
    fastest = best[f"log(), {hotpath.HOT_PATH}"][0]
    ratios = ("log() python", f"log() {hotpath.HOT_PATH}")
    print(f"{'ns a step':28}{'caller':>10}{'with writing':>14}" + "".join(f"{name:>16}" for name in ratios))
    for name, (caller, whole) in best.items():
        print(f"{name:28}{caller:>10.0f}{whole:>14.0f}{python / caller:>14.1f} ×{fastest / caller:>14.1f} ×")
    result = {
        name: {
            "caller_ns": caller,
            "whole_ns": whole,
            "log_python_over_it": python / caller,
            "log_over_it": fastest / caller,
        }
        for name, (caller, whole) in best.items()
    }
    record = {
        "environment": before,
        "seed": SEED,
        "steps": work.steps,
        "hot_path": hotpath.HOT_PATH,
        "ways": result,
    }
    print(f"\nsaved {save('batches', record, arguments.output)}")


if __name__ == "__main__":
    main()
