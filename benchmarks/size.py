"""How many bytes do recordings take, and how close is that to what information theory allows?

    python benchmarks/size.py
    python benchmarks/size.py --quick

Spikes: independent ones of 0.2 to 50 %, bursts, volleys of nearly all neurons at once, waves, silence. Their
bytes in the file are compared with the Shannon bound of independent spikes at the same rate, which is no
bound for patterns, and with the packed raster of one bit a cell. Whole files: the standard exporter's of the
same steps, with gzip and without. ``precision``: Ornstein-Uhlenbeck noise with ``precision={"v": 1e-3}``
against lossless, and the largest error that came back.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this checkout's, as in the processes that measure

import h5py
import numpy as np
import plots
from harness import RESULTS, environment, measure, save
from numpy.typing import NDArray
from tqdm import tqdm
from workloads import SEED, WORKLOADS, shannon_bytes

from loaders import ExperimentLoader
from recorder import DataExporter

Raster = NDArray[np.bool_]
RATES = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05)
BOUND = 1e-3


def bernoulli(rate: float) -> Callable[[Any, int, int], Raster]:
    """Independent spikes."""
    return lambda rng, steps, n: rng.random((steps, n), np.float32) < rate


def bursts(rng: Any, steps: int, n: int) -> Raster:
    """Neurons that are silent for hundreds of steps and then spike in a third of some twenty."""
    begins = rng.random((steps, n), np.float32) < 0.002
    active = np.zeros((steps, n), bool)
    for later in range(20):
        active[later:] |= begins[: steps - later]
    return active & (rng.random((steps, n), np.float32) < 1 / 3)


def volleys(rng: Any, steps: int, n: int) -> Raster:
    """Every fifty steps nine of ten neurons at once, nothing between."""
    raster = np.zeros((steps, n), bool)
    raster[::50] = rng.random((len(raster[::50]), n), np.float32) < 0.9
    return raster


def waves(rng: Any, steps: int, n: int) -> Raster:
    """A band of neighbours that wanders, and some noise."""
    place = (np.arange(steps)[:, None] * 3 - np.arange(n)) % n
    return (place < n // 50) | (rng.random((steps, n), np.float32) < 0.001)


PATTERNS: dict[str, Callable[[Any, int, int], Raster]] = {
    **{f"independent, {rate:.1%}": bernoulli(rate) for rate in RATES},
    "independent, 50.0%": bernoulli(0.5),
    "bursts": bursts,
    "volleys": volleys,
    "travelling wave": waves,
    "every cell": lambda _, steps, n: np.ones((steps, n), bool),
    "silence": lambda _, steps, n: np.zeros((steps, n), bool),
}


def spikes(name: str, steps: int, n: int, scratch: str | None) -> dict[str, Any]:
    """Stored bytes of one pattern, recorded alone; what came back is compared."""
    raster = PATTERNS[name](np.random.default_rng(SEED), steps, n)
    with tempfile.TemporaryDirectory(prefix="flightrec-size-", dir=scratch) as folder:
        with DataExporter("size", folder) as exporter:
            exporter.start_episode()
            for start in range(0, steps, 10_000):
                rows = raster[start : start + 10_000]
                exporter.log_batch(np.arange(start, start + len(rows)), spikes=rows)
            exporter.end_episode(success=True)
        with h5py.File(exporter.h5_path) as file:
            stored = {
                key: dataset.id.get_storage_size()
                for key, dataset in file["episodes/episode_0000/spikes"].items()
            }
        with ExperimentLoader(exporter.output_dir) as experiment:
            if not np.array_equal(experiment.get_episode(0).get_spike_raster(), raster):
                raise SystemExit(f"{name}: the spikes that came back are others")
        size = exporter.h5_path.stat().st_size
    # Timesteps are every stream's, and no raster holds them.
    total = sum(stored.values()) - stored.get("timesteps", 0)
    bound, packed = shannon_bytes(raster), raster.size / 8
    return {
        "steps": steps,
        "neurons": n,
        "rate": float(raster.mean()),
        "bytes": total,
        "file_bytes": size,
        "shannon_bytes": bound,
        "packed_bytes": packed,
        "over_shannon": total / bound if bound else None,
        "over_packed": total / packed,
    }


def precision(steps: int, n: int, scratch: str | None) -> dict[str, Any]:
    """Ornstein-Uhlenbeck noise of potentials, lossless and as exact as asked for."""
    rng = np.random.default_rng(SEED)
    v = np.empty((steps, n))
    v[0] = rng.normal(-60.0, 5.0, n)
    for t in range(1, steps):  # a time constant of 100 steps, a standard deviation of 5
        v[t] = v[t - 1] + (-60.0 - v[t - 1]) / 100 + rng.normal(0.0, 5.0 * np.sqrt(2 / 100), n)
    out: dict[str, Any] = {"steps": steps, "neurons": n, "bound": BOUND}
    for label, options in (("lossless", {}), ("precision", {"precision": {"v": BOUND}})):
        with tempfile.TemporaryDirectory(prefix="flightrec-size-", dir=scratch) as folder:
            with DataExporter("size", folder, neural_sampling_rate=1, **options) as exporter:  # type: ignore[arg-type]
                exporter.start_episode()
                exporter.log_batch(np.arange(steps), neural_state={"v": v})
                exporter.end_episode(success=True)
            with ExperimentLoader(exporter.output_dir) as experiment:
                back = experiment.get_episode(0).get_neural_states()["v"]
            with h5py.File(exporter.h5_path) as file:
                size = file["episodes/episode_0000/neural_states/v"].id.get_storage_size()
        out[label] = {"bytes": size, "largest_error": float(np.abs(back - v).max())}
    if out["precision"]["largest_error"] > BOUND or out["lossless"]["largest_error"]:
        raise SystemExit(f"errors beyond the bound: {out}")
    return {**out, "factor": out["lossless"]["bytes"] / out["precision"]["bytes"]}


def whole_files(steps: int, scratch: str | None) -> dict[str, Any]:
    """Bytes of whole files of the same steps, ours and the standard exporter's."""
    cases: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("ours", "optimized", {}),
        ("standard, gzip", "standard", {}),
        ("standard, no filter", "standard", {"compression": None}),
    )
    out: dict[str, Any] = {}
    for workload in WORKLOADS:
        found = {name: measure(who, workload, steps, options, scratch) for name, who, options in cases}
        sizes = {name: one["file_bytes"] for name, one in found.items()}
        ratios = {name: size / sizes["ours"] for name, size in sizes.items() if name != "ours"}
        out[workload] = {"steps": found["ours"]["steps"], "bytes": sizes, "over_ours": ratios}
    return out


def print_tables(result: dict[str, Any]) -> None:
    """For people."""
    print(f"{'spikes alone':22}{'rate':>9}{'bits/spike':>12}{'× Shannon':>11}{'× packed':>10}")
    for name, one in result["spikes"].items():
        count = one["rate"] * one["steps"] * one["neurons"]
        bits = f"{one['bytes'] * 8 / count:.2f}" if count else "–"
        over = "–" if one["over_shannon"] is None else f"{one['over_shannon']:.3f}"
        print(f"{name:22}{one['rate']:>9.2%}{bits:>12}{over:>11}{one['over_packed']:>10.4f}")
    print(f"\n{'whole file':22}{'bytes a step':>14}{'standard, gzip':>16}{'no filter':>12}")
    for name, one in result["files"].items():
        gzip, plain = one["over_ours"].values()
        print(f"{name:22}{one['bytes']['ours'] / one['steps']:>14.1f}{gzip:>14.2f} ×{plain:>10.2f} ×")
    larger = [name for name, one in result["spikes"].items() if one["over_packed"] > 1]
    if larger:
        print(f"\nlarger than the packed raster: {', '.join(larger)}")
    lossy = result["precision"]
    print(
        f"\nprecision {BOUND:g}: {lossy['factor']:.2f} × smaller than lossless, "
        f"largest error {lossy['precision']['largest_error']:.3g}"
    )


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200_000, help="of the spikes")
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument("--same-steps", type=int, default=10_000, help="of the whole files")
    parser.add_argument("--quick", action="store_true", help="20,000 and 1,000 steps")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the JSON")
    parser.add_argument("--scratch", help="folder for the recordings, to choose the file system")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.steps, arguments.same_steps = 20_000, 1_000
    before = environment(arguments.scratch)
    found: dict[str, Any] = {}
    for name in tqdm(PATTERNS, unit="pattern", disable=None):
        found[name] = spikes(name, arguments.steps, arguments.neurons, arguments.scratch)
    result = {
        "spikes": found,
        "precision": precision(arguments.steps // 100, 1_000, arguments.scratch),
        "files": whole_files(arguments.same_steps, arguments.scratch),
    }
    print_tables(result)
    record = {"environment": before, "seed": SEED, **result}
    saved = save("size-quick" if arguments.quick else "size", record, arguments.output)
    print(f"\nsaved {saved} and {plots.size(record, saved.with_suffix('.png')).name}")


if __name__ == "__main__":
    main()
