"""Does memory stay constant, however long the recording grows?

    python benchmarks/memory.py --steps 5000000

One long episode; the resident set is read every few percent of the way. The ring is a mapped file, its
pages count here as resident although the kernel may take them back: "anonymous" leaves them out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import plots
from harness import RESULTS, environment, run_fresh, save
from workloads import POOL_ROWS, SEED, Workload, generate

SAMPLES = 50


def worker(spec: dict[str, Any]) -> list[dict[str, int]]:
    """Record in this process; step, resident and anonymous bytes along the way."""
    import recorder

    work = Workload("memory", 1, POOL_ROWS, spec["neurons"], 0.02, sampling=10)
    inputs = generate(work)
    values = list(zip(inputs.spikes, inputs.v, inputs.x, inputs.y, inputs.reward, strict=True))
    samples: list[dict[str, int]] = []
    steps, every = spec["steps"], max(1, spec["steps"] // SAMPLES)
    with tempfile.TemporaryDirectory(dir=spec["scratch"]) as folder:
        samples.append({"step": -1, **_memory()})
        make = getattr(recorder, spec["exporter"])
        with make("memory", output_base_dir=folder, neural_sampling_rate=work.sampling) as exporter:
            exporter.start_episode()
            for t in range(steps):
                spikes, v, x, y, reward = values[t % POOL_ROWS]
                exporter.log(
                    timestep=t, neural_state={"v": v}, spikes=spikes, behavior={"x": x, "y": y}, reward=reward
                )
                if t % every == 0:
                    samples.append({"step": t, **_memory()})
            exporter.end_episode()
            samples.append({"step": steps, **_memory()})
    return samples


def _memory() -> dict[str, int]:
    fields = {"VmRSS": "resident", "RssAnon": "anonymous"}
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in fields:
            found[fields[name]] = int(rest.split()[0]) * 1024
    return found


def growth(samples: list[dict[str, int]], field: str) -> float:
    """Bytes per million steps over the second half of the run, by a straight line through it."""
    half = samples[len(samples) // 2 :]
    slope = np.polyfit([one["step"] for one in half], [one[field] for one in half], 1)[0]
    return float(slope * 1e6)


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=5_000_000)
    parser.add_argument("--neurons", type=int, default=100)
    parser.add_argument(
        "--exporter", choices=("DataExporter", "StandardDataExporter"), default="DataExporter"
    )
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--scratch")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        json.dump(worker(json.loads(arguments.worker)), sys.stdout)
        return
    before = environment(arguments.scratch)
    spec = {name: getattr(arguments, name) for name in ("steps", "neurons", "exporter", "scratch")}
    samples = json.loads(run_fresh("memory.py", "--worker", json.dumps(spec)))
    start = samples[0]
    summary = {
        field: {
            "start": start[field],
            "peak_above_start": max(one[field] for one in samples) - start[field],
            "growth_per_million_steps": growth(samples, field),
        }
        for field in ("resident", "anonymous")
    }
    for field, figures in summary.items():
        print(
            f"{field:10} peak {figures['peak_above_start'] / 1e6:7.1f} MB above the start, "
            f"growth in the second half {figures['growth_per_million_steps'] / 1e6:+.3f} MB per million steps"
        )
    spec.pop("scratch")
    record = {"environment": before, "seed": SEED, **spec, "summary": summary, "samples": samples}
    saved = save("memory", record, arguments.output)
    print(f"\nsaved {saved} and {plots.memory(record, saved.with_suffix('.png')).name}")


if __name__ == "__main__":
    main()
