"""What one call of log() costs the simulation, against an empty method with the same keywords.

    python benchmarks/latency.py
    python benchmarks/latency.py --steps 1000000 --neurons 1000

Every call is timed on its own (the clock itself costs some 0.05 µs, which the empty method shows too),
so that the rare slow ones are seen; the mean is taken from a second pass without a clock inside.

The comparison at the end measures the caller's side alone: an empty method, log() generated in Python and
log() compiled take turns in one process, round by round, in a loop that builds its dictionaries anew each
step, and rounds in which a block was written are left out. The best round counts, in CPU time of the thread.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import plots
from harness import RESULTS, environment, run_fresh, save
from numpy.typing import NDArray
from workloads import POOL_ROWS, Workload, generate

QUANTILES = {"p50": 50, "p99": 99, "p99.9": 99.9, "p99.99": 99.99, "max": 100}


EDGES = np.geomspace(30, 3e9, 257)
"""Nanoseconds between which calls are counted, for the distribution."""
PARTS = 10
ROUND = 9_000
ROUNDS = 20


class Empty:
    """A recorder that records nothing: what calling it costs is Python's own price."""

    def log(
        self,
        timestep: Any = None,
        neural_state: Any = None,
        spikes: Any = None,
        behavior: Any = None,
        reward: Any = None,
    ) -> None:
        """Nothing."""


def timed(log: Callable[..., None], work: Workload) -> NDArray[np.float64]:
    """Nanoseconds of each call, ``(steps,)``."""
    inputs = generate(work)
    took = np.empty(work.steps)
    clock = time.perf_counter_ns
    potentials = itertools.cycle(inputs.v)
    values = zip(inputs.spikes, potentials, inputs.x, inputs.y, inputs.reward, strict=False)
    gc.collect()
    for t, (spikes, v, x, y, reward) in enumerate(values):
        neural, behavior = {"v": v}, {"x": x, "y": y}
        begun = clock()
        log(timestep=t, neural_state=neural, spikes=spikes, behavior=behavior, reward=reward)
        took[t] = clock() - begun
    return took


def mean(log: Callable[..., None], work: Workload) -> float:
    """Nanoseconds a call, loop and all, without a clock inside."""
    inputs = generate(work)
    rows, potentials = list(inputs.spikes[:POOL_ROWS]), inputs.v[:POOL_ROWS]
    values = list(zip(rows, potentials, inputs.x, inputs.y, inputs.reward, strict=False))
    begun = time.perf_counter_ns()
    steps = 0
    while steps < work.steps:
        for spikes, v, x, y, reward in values:
            log(
                timestep=steps, neural_state={"v": v}, spikes=spikes, behavior={"x": x, "y": y}, reward=reward
            )
            steps += 1
    return (time.perf_counter_ns() - begun) / steps


def worker(spec: dict[str, Any]) -> dict[str, Any]:
    """Measure one recorder in this process."""
    work = Workload("latency", 1, spec["steps"], spec["neurons"], 0.02)
    if spec["exporter"] == "empty":
        return _figures(timed(Empty().log, work), mean(Empty().log, work))
    import recorder

    with (
        tempfile.TemporaryDirectory(dir=spec["scratch"]) as folder,
        recorder.DataExporter("latency", output_base_dir=folder, **spec["options"]) as exporter,
    ):
        exporter.start_episode()
        took = timed(exporter.log, work)
        exporter.end_episode()
        exporter.start_episode()
        return _figures(took, mean(exporter.log, work))


def compare(spec: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Nanoseconds of a call, loop and dictionaries included, by what is called; best of all rounds."""
    from unittest import mock

    import recorder
    from recorder import hotpath

    work = Workload("round", 1, ROUND, spec["neurons"], 0.02)
    inputs = generate(work)
    potentials = itertools.islice(itertools.cycle(inputs.v), ROUND)
    values = list(zip(list(inputs.spikes), potentials, inputs.x, inputs.y, inputs.reward, strict=True))
    paths, fronts = [hotpath.PYTHON], {hotpath.PYTHON: lambda _: None}
    with contextlib.suppress(ImportError):
        hotpath.choose(hotpath.COMPILED)
        paths.append(hotpath.COMPILED)
    best: dict[str, float] = {}

    def keep(name: str, log: Callable[..., None], whole: Callable[[], bool]) -> None:
        begun = time.thread_time_ns()
        for t, (spikes, v, x, y, reward) in enumerate(values, 1):
            log(timestep=t, neural_state={"v": v}, spikes=spikes, behavior={"x": x, "y": y}, reward=reward)
        took = (time.thread_time_ns() - begun) / ROUND
        if whole():
            best[name] = min(took, best.get(name, took))

    for _ in range(ROUNDS):
        keep("empty method", Empty().log, lambda: True)
        for path in paths:
            with (
                tempfile.TemporaryDirectory(dir=spec["scratch"]) as folder,
                mock.patch("recorder.steplog.generate", hotpath.choose(path)[1]),
                mock.patch("recorder.exporter.front", fronts.get(path, hotpath.front)),
                recorder.DataExporter("round", folder) as exporter,
            ):
                # An episode tells the next one how large its first block must be: the second writes none.
                for _ in range(2):
                    episode = exporter.start_episode()
                    spikes, v, x, y, reward = values[0]
                    exporter.log(0, {"v": v}, spikes, {"x": x, "y": y}, reward)
                    keep(f"log(), {path}", exporter.log, lambda e=episode: e.steps.rows > ROUND)  # type: ignore[misc]
                    exporter.end_episode()
    empty = best["empty method"]
    return {name: {"ns": took, "ratio": took / empty} for name, took in best.items()}


def _figures(took: NDArray[np.float64], average: float) -> dict[str, Any]:
    figures = {name: float(np.percentile(took, at)) for name, at in QUANTILES.items()}
    return {
        **figures,
        "mean": average,
        "first_call": float(took[0]),
        "p50_by_part": [float(np.median(part)) for part in np.array_split(took, PARTS)],
        "counts": np.histogram(np.clip(took, EDGES[0], EDGES[-1]), EDGES)[0].tolist(),
    }


def compared(neurons: int, scratch: str | None) -> Any:
    """:func:`compare` in a fresh process."""
    spec = {"exporter": "compare", "neurons": neurons, "scratch": scratch}
    return json.loads(run_fresh("latency.py", "--worker", json.dumps(spec)))


def measure(
    exporter: str,
    steps: int,
    neurons: int,
    options: dict[str, Any],
    scratch: str | None,
    hot_path: str | None = None,
) -> Any:
    """:func:`worker` in a fresh process; nanoseconds by name."""
    spec = {"exporter": exporter, "steps": steps, "neurons": neurons, "options": options, "scratch": scratch}
    return json.loads(run_fresh("latency.py", "--worker", json.dumps(spec), hot_path=hot_path))


def print_table(rows: dict[str, dict[str, float]]) -> None:
    """Microseconds for people."""
    names = ["mean", *QUANTILES, "first_call"]
    print(f"{'µs a call':24}" + "".join(f"{name:>12}" for name in names))
    for label, figures in rows.items():
        print(f"{label:24}" + "".join(f"{figures[name] / 1e3:>12.2f}" for name in names))


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300_000)
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--scratch")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        spec = json.loads(arguments.worker)
        json.dump(compare(spec) if spec["exporter"] == "compare" else worker(spec), sys.stdout)
        return
    before = environment(arguments.scratch)
    size = (arguments.steps, arguments.neurons)
    rows = {
        "empty method": measure("empty", *size, {}, None),
        "log()": measure("optimized", *size, {}, arguments.scratch),
        "log(), no validation": measure("optimized", *size, {"validate_data": False}, arguments.scratch),
        "log(), pure Python": measure("optimized", *size, {}, arguments.scratch, "python"),
    }
    print_table(rows)
    ratios = compared(arguments.neurons, arguments.scratch)
    print(f"\n{'caller alone, best round':28}{'ns':>8}{'× empty':>10}")
    for name, figures in ratios.items():
        print(f"{name:28}{figures['ns']:>8.0f}{figures['ratio']:>10.2f}")
    record = {
        "environment": before,
        "steps": size[0],
        "neurons": size[1],
        "nanoseconds": rows,
        "edges_ns": EDGES.tolist(),
        "compared": ratios,
        "hot_path": "compiled" if len(ratios) > 2 else "python",
    }
    saved = save("latency", record, arguments.output)
    print(f"\nsaved {saved} and {plots.latency(record, saved.with_suffix('.png')).name}")


if __name__ == "__main__":
    main()
