"""What ``enable_swmr=True`` takes in the file, by the number of rows logged in ``flush_interval``.

    python benchmarks/shown.py
    python benchmarks/shown.py --quick

That number is the rate times the interval: ten steps a second at the default are 10. The clock by which rows
are due is moved by hand, so that a slow recording takes no longer than a fast one and every run gives the
same bytes. A hundred neurons: ``new`` has new spikes, a new sample, a walk, a choice of four and a reward of
one step in fifty; ``noisy`` has three columns of noise besides the spikes; ``repeated`` has spikes that come
again after a thousand steps, one sample and one reward, which deflate as hardly any simulation's do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout's

import numpy as np
from harness import RESULTS, environment, save
from tqdm import tqdm

from recorder import DataExporter
from recorder.h5.streams.pace import tick_of

ROWS = (0, 3, 10, 30, 100, 300, 1_000, 10_000)
"""In an interval; 0 is for a recording without ``enable_swmr``."""
STEPS = 40_000
NEURONS = 100
EVERY = 1e6
"""Seconds of the interval, none of which pass."""

Call = Callable[[int], dict[str, Any]]


def new(rng: Any) -> Call:
    """Every value is a new one."""
    place = np.zeros(2)

    def call(step: int) -> dict[str, Any]:
        place[:] += 0.01 * rng.standard_normal(2)
        return {
            "neural_state": {"v": -65 + 5 * rng.standard_normal(NEURONS)} if step % 100 == 0 else None,
            "spikes": rng.random(NEURONS) < 0.02,
            "behavior": {"place": place.astype("f4"), "action": int(rng.integers(4))},
            "reward": float(rng.random() < 0.02),
        }

    return call


def noisy(rng: Any) -> Call:
    """What can hardly be deflated."""
    return lambda step: {
        "neural_state": {"v": rng.standard_normal(NEURONS)} if step % 100 == 0 else None,
        "spikes": rng.random(NEURONS) < 0.02,
        "behavior": {"x": rng.standard_normal(), "y": rng.standard_normal()},
        "reward": rng.standard_normal(),
    }


def repeated(rng: Any) -> Call:
    """What ``live.py`` logs."""
    spikes, v = rng.random((1000, NEURONS)) < 0.02, rng.standard_normal(NEURONS)
    return lambda step: {
        "neural_state": {"v": v},
        "spikes": spikes[step % 1000],
        "behavior": {"at": step / 5000 + 1e-5 * rng.standard_normal()},
        "reward": 0.0,
    }


DATA = {"new": new, "noisy": noisy, "repeated": repeated}


def bytes_a_step(data: str, rows: int, steps: int, scratch: str | None) -> float:
    """Bytes of the closed file."""
    call, now, looked = DATA[data](np.random.default_rng(0)), 0.0, 0.0
    clock = SimpleNamespace(monotonic=lambda: now)
    options: dict[str, Any] = {"enable_swmr": True, "flush_interval": EVERY} if rows else {}
    with (
        tempfile.TemporaryDirectory(prefix="flightrec-shown-", dir=scratch) as folder,
        mock.patch("recorder.h5.streams.pace.time", clock),
    ):
        with DataExporter("shown", folder, **options) as exporter:
            exporter.start_episode()
            for step in range(steps):
                exporter.log(step, **call(step))
                if rows:
                    now += EVERY / rows
                if now - looked >= tick_of(EVERY):
                    looked = now
                    exporter._call_in()
            exporter.end_episode(success=True)
        return exporter.h5_path.stat().st_size / steps


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    arguments = parser.parse_args()
    steps = arguments.steps // (10 if arguments.quick else 1)
    before = environment(arguments.scratch)
    found: dict[str, dict[str, float]] = {data: {} for data in DATA}
    with tqdm(total=len(DATA) * len(ROWS), unit="run", disable=None) as bar:
        for data in DATA:
            for rows in ROWS:
                found[data][str(rows or "off")] = bytes_a_step(data, rows, steps, arguments.scratch)
                bar.update()
    print(f"{'rows':>12}" + "".join(f"{data:>20}" for data in DATA))
    for rows in found["new"]:
        cells = (f"{sizes[rows]:.1f} ({sizes[rows] / sizes['off']:.2f})" for sizes in found.values())
        print(f"{rows:>12}" + "".join(f"{cell:>20}" for cell in cells))
    record = {"environment": before, "steps": steps, "bytes_a_step": found}
    print(f"\nsaved {save('shown-quick' if arguments.quick else 'shown', record, arguments.output)}")


if __name__ == "__main__":
    main()
