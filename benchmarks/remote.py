"""Recordings in an object store: what laying them out for it saves, and what a cluster adds.

    python benchmarks/remote.py                  to results/remote.json
    python benchmarks/remote.py --recordings 4 --episodes 5

The store is a folder of this machine behind a file system of fsspec that answers each request after a delay,
as a store in the same region does. Each way lists the episodes of every recording and adds up the rewards of
the last one; requests are counted.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from farstore import DELAY, far, requests
from harness import RESULTS, environment, save

from loaders.assembling import pack
from recorder import DataExporter


def make(folder: Path, number: int, episodes: int, steps: int) -> Path:
    """A recording of a network."""
    rng = np.random.default_rng(number)
    with DataExporter(f"run{number}", folder, neural_sampling_rate=10) as exporter:
        exporter.save_config({"number": number})
        for _ in range(episodes):
            exporter.start_episode()
            exporter.log_batch(
                np.arange(steps),
                neural_state={"v": rng.normal(size=(steps, 100))},
                spikes=rng.random((steps, 100)) < 0.02,
                reward=rng.random(steps),
            )
            exporter.end_episode(success=True)
    return exporter.h5_path


def timed(call: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Seconds, and requests of this process."""
    seconds, asked = [], []
    for _ in range(repeats):
        before, start = requests[0], time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
        asked.append(requests[0] - before)
    return {"seconds": seconds, "median_s": statistics.median(seconds), "requests": asked[-1]}


def main() -> None:
    """Parse, measure, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=8)
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--steps", type=int, default=2000, help="an episode")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", help="folder for the recordings, which are deleted")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="flightrec-remote-", dir=arguments.scratch))
    found: dict[str, Any] = {"environment": environment(arguments.scratch), "delay_s": DELAY}
    found |= {name: getattr(arguments, name) for name in ("recordings", "episodes", "steps", "workers")}
    try:
        plain = [
            make(folder, number, arguments.episodes, arguments.steps)
            for number in range(arguments.recordings)
        ]
        packed = [pack(path, path.with_name("cloud.h5"), cloud=True) for path in plain]
        found["bytes"] = {"as recorded": plain[0].stat().st_size, "packed": packed[0].stat().st_size}
        assert [far(path) for path in plain] == [far(path) for path in packed]
        found["as recorded, one by one"] = timed(lambda: [far(path) for path in plain], arguments.repeats)
        found["packed, one by one"] = timed(lambda: [far(path) for path in packed], arguments.repeats)

        from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=arguments.workers, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            Client(cluster) as client,
        ):
            client.gather(client.map(far, packed, pure=False))
            found["packed, on a cluster"] = timed(
                lambda: client.gather(client.map(far, packed, pure=False)), arguments.repeats
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    base = found["as recorded, one by one"]["median_s"]
    for way in ("packed, one by one", "packed, on a cluster"):
        found[f"{way}: times faster"] = base / found[way]["median_s"]
    for name, value in found.items():
        print(name, value)
    print(f"saved {save('remote', found, arguments.output)}")


if __name__ == "__main__":
    main()
