"""One measurement in a process of its own: reads a specification as JSON, prints the result as JSON.

Started by ``harness.measure``. A fresh process a measurement, so that neither memory nor warm caches
of one exporter flatter the next. The inputs exist before the clock starts and before memory is read.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
from resident import peak, reset_peak
from workloads import NEURONS, SEED, WORKLOADS, Inputs, Workload, generate, shannon_bytes

import recorder

EXPORTERS = {"optimized": recorder.DataExporter, "standard": recorder.StandardDataExporter}


def run(workload: Workload, inputs: Inputs, exporter: Any) -> None:
    """Every step of every episode into an open exporter."""
    rows = iter(inputs.spikes)
    potentials = itertools.cycle(inputs.v)
    rest = zip(inputs.x, inputs.y, inputs.reward, strict=True)
    for _ in range(workload.episodes):
        exporter.start_episode()
        # zip stops at its first argument's end, before it takes from the others
        for t, spikes, v, (x, y, reward) in zip(range(workload.steps), rows, potentials, rest, strict=False):
            exporter.log(
                timestep=t, neural_state={"v": v}, spikes=spikes, behavior={"x": x, "y": y}, reward=reward
            )
        exporter.end_episode(success=True)


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Carry out a specification; see ``harness.measure`` for its keys."""
    workload = (WORKLOADS | NEURONS)[spec["workload"]].cut(spec["steps"])
    inputs = generate(workload, spec.get("seed", SEED))
    bound = shannon_bytes(inputs.spikes)
    folder = Path(tempfile.mkdtemp(prefix="flightrec-bench-", dir=spec.get("scratch")))
    try:
        make = EXPORTERS[spec["exporter"]]
        load = os.getloadavg()
        before = reset_peak()
        cpu, opened = time.process_time(), time.perf_counter()
        exporter = make(
            "bench", output_base_dir=str(folder), neural_sampling_rate=workload.sampling, **spec["options"]
        )
        begun = time.perf_counter()
        run(workload, inputs, exporter)
        ended = time.perf_counter()
        exporter.close()
        closed = time.perf_counter()
        cpu = time.process_time() - cpu
        most = peak()
        sizes = _sizes(exporter.h5_path)
    finally:
        shutil.rmtree(folder)
    if sizes.pop("total_spikes") != int(inputs.spikes.sum()):
        raise SystemExit("the file does not hold the spikes that were logged")
    return {
        **spec,
        "steps": workload.total,
        "episodes": workload.episodes,
        "seconds": closed - opened,
        "loop_seconds": ended - begun,
        "cpu_seconds": cpu,
        "steps_per_s": workload.total / (closed - opened),
        "loop_steps_per_s": workload.total / (ended - begun),
        "peak_rss_above_start": most - before if before else None,
        "shannon_bytes": bound,
        "hot_path": recorder.HOT_PATH,
        "load_average": load,
        **sizes,
    }


def _sizes(path: Path) -> dict[str, Any]:
    """Bytes of the file and of its spikes as stored; timesteps counted apart, being every stream's."""
    spikes = clock = total = 0
    with h5py.File(path, "r") as file:
        for episode in file["episodes"].values():
            total += int(episode.attrs.get("total_spikes", 0))
            for name, dataset in episode["spikes"].items():
                stored = dataset.id.get_storage_size()
                # "timesteps" of the events format is one entry a spike: then it is the code itself
                if name == "timesteps" and "intervals" in episode["spikes"]:
                    clock += stored
                else:
                    spikes += stored
    size = path.stat().st_size
    return {"file_bytes": size, "spike_bytes": spikes, "spike_clock_bytes": clock, "total_spikes": total}


if __name__ == "__main__":
    json.dump(measure(json.loads(sys.argv[1])), sys.stdout)
